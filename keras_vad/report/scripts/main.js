/** Starts the page. */

import { startControls } from "./controls.js";
import { get } from "./dom.js";
import { startEvents } from "./events.js";
import { startFrame } from "./frame.js";
import { startParts } from "./parts.js";
import { startPlay } from "./play.js";
import { startReading } from "./reading.js";
import { startRoc } from "./roc.js";
import { openVideo, redraw } from "./state.js";
import { startTimeline } from "./timeline.js";
import { startVideos } from "./videos.js";

startPlay();
startVideos();
startControls();
startEvents();
startParts();
startTimeline();
startFrame();
startReading();
startRoc();
new ResizeObserver(redraw).observe(get("timeline", HTMLDivElement));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
openVideo(0);
