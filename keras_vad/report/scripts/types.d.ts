// Made from page_data.py by tools/page_types.py.

/**
 * Values of a curve, one a bucket of scores, or the extremes of each where buckets hold several.
 *
 * Args:
 *     name: What is shown.
 *     high: Highest value of each bucket.
 *     low: Lowest value of each; none where buckets hold one score.
 */
export interface CurveData {
  name: string;
  high: number[];
  low: number[] | null;
}

/**
 * An event.
 *
 * Args:
 *     start: The frame of its first alarm.
 *     end: The frame behind its last alarm.
 *     peak: The frame with its highest score.
 *     score: That score, in [0, 1].
 *     times: Seconds of its first alarm, its peak and its last alarm; none without a clock.
 */
export interface EventData {
  start: number;
  end: number;
  peak: number;
  score: number;
  times: [number, number, number] | null;
}

/**
 * What is known of a video before frames of it are chosen.
 *
 * Args:
 *     name: Its name.
 *     fps: Frames a second; none if not known.
 *     length: Frames.
 *     scored: Frames that have a score.
 *     alarms: Frames with an alarm.
 *     highest: The highest calibrated score.
 *     anomalous: Anomalous frames by ground truth; none without labels.
 *     auroc: Of this video, in [0, 1]; none without frames of both classes.
 *     truth: Anomalous stretches, (first frame, behind the last); none without labels.
 *     events: In the order of time.
 *     at: First frame of each bucket of the curves.
 *     curves: Calibrated score first, then raw score and its parts.
 */
export interface VideoFacts {
  name: string;
  fps: number | null;
  length: number;
  scored: number;
  alarms: number;
  highest: number;
  anomalous: number | null;
  auroc: number | null;
  truth: [number, number][] | null;
  events: EventData[];
  at: number[];
  curves: CurveData[];
}

/**
 * A video, with the scores of the frames that the page holds.
 *
 * Args:
 *     shown: Numbers of these frames, ascending.
 *     levels: Calibrated score of each.
 *     values: Raw score and its parts of each, by their names.
 */
export interface VideoData {
  name: string;
  fps: number | null;
  length: number;
  scored: number;
  alarms: number;
  highest: number;
  anomalous: number | null;
  auroc: number | null;
  truth: [number, number][] | null;
  events: EventData[];
  at: number[];
  curves: CurveData[];
  shown: number[];
  levels: number[];
  values: Record<string, number[]>;
}

/**
 * The colours of maps.
 *
 * Args:
 *     low: The map value of the first colour.
 *     high: The map value of the last one.
 *     colours: Red, green, blue and opacity, each 0 to 255, of 256 colours.
 */
export interface HeatData {
  low: number;
  high: number;
  colours: number[];
}

/**
 * The ROC curve of all videos together.
 *
 * Args:
 *     fpr: False positive rates.
 *     tpr: True positive rate at each.
 *     auroc: Area under the curve.
 *     operating: (false, true positive rate) of alarms.
 */
export interface RocData {
  fpr: number[];
  tpr: number[];
  auroc: number;
  operating: [number, number];
}

/**
 * Everything but pictures; the element ``data``.
 *
 * Args:
 *     boundary: Calibrated score above which a frame has an alarm.
 *     heat: None without maps.
 *     videos: At least one.
 *     roc: None without labels of both classes.
 */
export interface PageData {
  boundary: number;
  heat: HeatData | null;
  videos: VideoData[];
  roc: RocData | null;
}

/**
 * Maps of a video.
 *
 * Args:
 *     rows: Height of each.
 *     columns: Width of each.
 *     values: One a frame: base64 of a byte a place, which is the index of its colour.
 */
export interface MapData {
  rows: number;
  columns: number;
  values: string[];
}

/**
 * Pictures of a video, one for each of its ``shown`` frames; the elements ``pictures-0``, ``pictures-1``...
 *
 * Args:
 *     frames: Base64 of JPEG files.
 *     maps: None if the page has no heat maps.
 */
export interface PictureData {
  frames: string[];
  maps: MapData | null;
}
