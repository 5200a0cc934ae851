"""Scratch exploration of local playback prediction on one GPU; nothing of it is in the project."""
import argparse, json, math, sys, time, os, glob
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F
from sklearn.metrics import roc_auc_score
import warnings; warnings.filterwarnings('ignore')
dev = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cudnn.benchmark = True
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True

BASE = dict(size=(128, 192), T=12, rates=(1.2, 3.0), net="2d", ch=(32, 64, 96, 96), k=5, strides=(2, 2, 2, 2), bs=8, steps=1500,
            lr=5e-4, warm=0, sharp=4.0, norm="bn", inp="raw", blend=True, integer=None, mirror=True, jitter=0.0, scale=0.0, noise=0.0,
            mix=0.0, smooth_label=0.0, wd=0.0, drop=0.0, balanced=True, extra=None, reg=False, time_reverse=0.0, static_w=0.0, vshare=0.125, ema=0.995, flipv=0.0, sched="cosine", bf16=True, weigh=True, others=0.0, centre=True, pad="both")

def decode():
    import cv2
    root = os.path.dirname(os.path.abspath(__file__))
    if os.path.exists(root + "/full.npz"): return dict(np.load(root + "/full.npz"))  # the frames as they are
    out = {}
    for p in sorted(glob.glob(root + "/enc_*.mp4")):
        c = cv2.VideoCapture(p); fs = []
        while True:
            ok, f = c.read()
            if not ok: break
            fs.append(f[..., 0])
        out[os.path.basename(p)[4:-4]] = np.stack(fs)
    return out

class Net(nn.Module):
    def __init__(s, c, out=1):
        super().__init__()
        L = []; d3 = c["net"] == "3d"
        def norm(n):
            if c["norm"] == "bn": return (nn.BatchNorm3d if d3 else nn.BatchNorm2d)(n, eps=1e-3, momentum=0.05)
            if c["norm"] == "gn": return nn.GroupNorm(8, n)
            return nn.Identity()
        cin = 1 if d3 else c["T"]
        if c["inp"] == "diff" and not d3: cin = c["T"] - 1
        for i, (n, st) in enumerate(zip(c["ch"], c["strides"])):
            k = c["k"] if i == 0 else 3
            if d3:
                L.append(nn.Conv3d(cin, n, 3, stride=st, padding=1, bias=False))
            else:
                if c["pad"] == "after":  # what "same" is in TensorFlow at even sizes
                    a = (k - 2) // 2; L.append(nn.ZeroPad2d((a, k - 2 - a, a, k - 2 - a)))
                if c["pad"] == "even": k += 1
                L.append(nn.Conv2d(cin, n, k, stride=st, padding={"both": k // 2, "after": 0, "even": k // 2 - 1}[c["pad"]], bias=False))
            L += [norm(n), nn.LeakyReLU(0.1)]
            if c["drop"] and i >= 2: L.append((nn.Dropout3d if d3 else nn.Dropout2d)(c["drop"]))
            cin = n
        s.body = nn.Sequential(*L); s.d3 = d3; s.inp = c["inp"]
        s.head = (nn.Conv3d if d3 else nn.Conv2d)(cin, out, 1)
        for m in s.modules():
            if isinstance(m, (nn.Conv2d, nn.Conv3d)):
                nn.init.xavier_uniform_(m.weight)
                if m.bias is not None: nn.init.zeros_(m.bias)
    def forward(s, x):  # B,T,H,W in [0,1]
        if s.inp == "raw": x = x - 0.5
        elif s.inp == "mean": x = (x - x.mean(1, keepdim=True)) * 4
        elif s.inp == "diff": x = (x[:, 1:] - x[:, :-1]) * 4
        elif s.inp == "std":
            x = x - x.mean(1, keepdim=True)
            x = x / (x.std((1, 2, 3), keepdim=True) + 1e-3)
        if s.d3: x = x[:, None]
        x = s.head(s.body(x).float())
        if s.d3: x = x.mean(2)
        return x  # B,out,h,w

def lme(z, s):  # B,...
    z = z.flatten(1)
    return (torch.logsumexp(s * z, 1) - math.log(z.shape[1])) / s

class Data:
    def __init__(s, vids, lab, size):
        s.size = size
        def rs(a):
            x = torch.from_numpy(a).to(dev).float()[:, None]
            if tuple(size) != tuple(a.shape[1:]):
                x = F.interpolate(x, size=tuple(size), mode="bilinear", antialias=True, align_corners=False)
            return x[:, 0].round().clamp(0, 255).to(torch.uint8)
        s.train = [(k[6:], rs(a)) for k, a in vids.items() if k.startswith("train_")]
        s.test = [(k[5:], rs(a)) for k, a in vids.items() if k.startswith("test_")]
        s.lab = [lab[k] for k, _ in s.test]
    def split(s, seed, share):
        n = len(s.train); cnt = max(1, round(share * n))
        ch = set(np.random.default_rng(seed).permutation(n)[:cnt].tolist())
        return [v for i, (_, v) in enumerate(s.train) if i not in ch], [v for i, (_, v) in enumerate(s.train) if i in ch]

class Sampler:
    def __init__(s, vids, c):
        s.c = c; s.size = c["size"]; need = math.ceil((c["T"] - 1) * c["rates"][1]) + 1
        if c["integer"]: need = (c["T"] - 1) * max(c["integer"]) + 1
        s.need = need
        s.opts = torch.tensor(c["integer"] or [1], device=dev, dtype=torch.float32); s.all = torch.cat(vids); st = []; o = 0
        for v in vids:
            st.append(torch.arange(o, o + len(v) - need + 1)); o += len(v)
        s.starts = torch.cat(st).to(dev)
    def gather(s, t):  # t B,T float absolute
        b = t.floor(); w = (t - b)[:, :, None, None]; i = b.long(); j = (i + 1).clamp(max=len(s.all) - 1)
        return ((1 - w) * s.all[i].float() + w * s.all[j].float()) / 255.0
    def times(s, base, acc, u, r, slow=None, rev=None):
        c = s.c; T = c["T"]
        lo, hi = math.log(c["rates"][0]), math.log(c["rates"][1])
        if c["integer"]:
            opts = s.opts
            rate = opts[(r * len(opts)).long().clamp(max=len(opts) - 1)]
        else: rate = torch.exp(lo + (hi - lo) * r)
        rate = torch.where(acc, rate, torch.ones_like(rate))
        if slow is not None: rate = torch.where(slow, 0.4 + 0.4 * r, rate)
        room = (s.need - 1) - (T - 1) * rate
        start = u * room
        if not c["blend"]: start = start.round()
        if rev is not None:
            k = torch.arange(T, device=dev).float().expand(len(base), T); k = torch.where(rev[:, None], T - 1 - k, k)
            return base[:, None] + start[:, None] + rate[:, None] * k, rate
        return base[:, None] + start[:, None] + rate[:, None] * torch.arange(T, device=dev), rate
    def aug(s, x):
        c = s.c; B = x.shape[0]
        if c["mirror"]:
            m = (torch.rand(B, 1, 1, 1, device=dev) < 0.5); x = torch.where(m, x.flip(3), x)
        if c["flipv"]:
            m = (torch.rand(B, 1, 1, 1, device=dev) < c["flipv"]); x = torch.where(m, x.flip(2), x)
        if c["jitter"]:
            g = 1 + c["jitter"] * (2 * torch.rand(B, 1, 1, 1, device=dev) - 1); o = c["jitter"] * 0.5 * (2 * torch.rand(B, 1, 1, 1, device=dev) - 1)
            x = (x - 0.5) * g + 0.5 + o
        if c["scale"]:
            z = torch.exp(c["scale"] * (2 * torch.rand(B, device=dev) - 1)); 
            th = torch.zeros(B, 2, 3, device=dev); th[:, 0, 0] = 1 / z; th[:, 1, 1] = 1 / z
            th[:, :, 2] = (2 * torch.rand(B, 2, device=dev) - 1) * 0.3
            x = F.grid_sample(x, F.affine_grid(th, x.shape, align_corners=False), mode="bilinear", padding_mode="reflection", align_corners=False)
        if c["noise"]: x = x + c["noise"] * torch.randn_like(x)
        return x
    def batch(s, B):
        c = s.c
        base = s.starts[torch.randint(len(s.starts), (B,), device=dev)].float()
        acc = torch.arange(B, device=dev) < B // 2
        if not c["balanced"]: acc = torch.rand(B, device=dev) < 0.5
        slow = rev = None; other = torch.zeros(B, device=dev)
        if c["others"]:
            k = max(1, round(B * c["others"] / 2)); i = torch.arange(B, device=dev)
            slow = i >= B - k; rev = (i >= B - 2 * k) & ~slow; other = (slow | rev).float()
        u = torch.rand(B, device=dev)
        t, rate = s.times(base, acc, u, torch.rand(B, device=dev), slow, rev)
        x = s.gather(t)
        region = None
        if c["mix"]:
            # a rectangle in which another playback of the same moment is shown; for accelerated ones the rest is normal
            mid = (t[:, :1] + t[:, -1:]) / 2 - base[:, None]  # the same moment in the middle
            t0 = (mid - (c["T"] - 1) / 2 + (torch.rand(B, 1, device=dev) - 0.5) * 4).clamp(min=0).clamp(max=s.need - c["T"])
            if not c["centre"]: t0 = torch.rand(B, 1, device=dev) * (s.need - c["T"])
            y = s.gather(base[:, None] + t0 + torch.arange(c["T"], device=dev)); H, W = s.size
            # centre both clips on the same moment so that the seam is small
            hh = (0.2 + 0.5 * torch.rand(B, device=dev)) * H; ww = (0.15 + 0.45 * torch.rand(B, device=dev)) * W
            y0 = torch.rand(B, device=dev) * (H - hh); x0 = torch.rand(B, device=dev) * (W - ww)
            gy = torch.arange(H, device=dev)[None, :, None]; gx = torch.arange(W, device=dev)[None, None, :]
            m = (gy >= y0[:, None, None]) & (gy < (y0 + hh)[:, None, None]) & (gx >= x0[:, None, None]) & (gx < (x0 + ww)[:, None, None])
            on = (torch.rand(B, device=dev) < c["mix"])[:, None, None]
            region = (m | ~on).float()[:, None]
            x = region * x + (1 - region) * y
        if region is not None:
            xr = s.aug_joint(x, region); x, region = xr
        else: x = s.aug(x)
        return x, acc.float(), rate, region, other
    def aug_joint(s, x, r):
        z = s.aug(torch.cat([x, r], 1)); return z[:, :-1].clamp(-1, 2), (z[:, -1:] > 0.5).float()

def windows_scores(net, v, c, hop=2, out=None):
    T = c["T"]; n = len(v); st = list(range(0, n - T + 1, hop))
    if st[-1] != n - T: st.append(n - T)
    res = []
    for i in range(0, len(st), 64):
        idx = torch.tensor(st[i:i + 64], device=dev)[:, None] + torch.arange(T, device=dev)
        with torch.autocast("cuda", torch.bfloat16, enabled=dev == "cuda" and c["bf16"]):
            res.append(net(v[idx].float() / 255.0).float())
    return st, torch.cat(res)  # windows,out,h,w

def frame_series(st, w, n, T):
    tot = np.zeros(n); cnt = np.zeros(n)
    for a, s in zip(st, w): tot[a:a + T] += s; cnt[a:a + T] += 1
    return tot / cnt

def causal(x, k):
    if k == 1: return x
    cs = np.cumsum(np.concatenate([[0], x])); i = np.arange(len(x)); lo = np.maximum(0, i - k + 1)
    return (cs[i + 1] - cs[lo]) / (i + 1 - lo)

def mm(x): return (x - x.min()) / (np.ptp(x) + 1e-9)

def score_of(z, kind):
    if kind.startswith("lme"): return lme(z, float(kind[3:]))
    if kind == "max": return z.flatten(1).max(1).values
    if kind == "top3": return z.flatten(1).topk(3).values.mean(1)
    if kind == "pmean": return torch.sigmoid(z).flatten(1).mean(1)
    if kind == "psum": return F.softplus(z).flatten(1).mean(1)
    if kind == "blurmax": return F.avg_pool2d(z[:, None] if z.dim() == 3 else z, 3, 1, 1).flatten(1).max(1).values

@torch.no_grad()
def evaluate(net, D, held, c, crit, kinds=("lme4", "lme1", "max", "top3", "psum")):
    net.eval(); r = {}
    Z = [windows_scores(net, v, c) for _, v in D.test]
    H = [windows_scores(net, v, c) for v in held]
    lab = np.concatenate(D.lab)
    for kind in kinds:
        ser = [frame_series(st, score_of(z[:, 0], kind).cpu().numpy(), len(v), c["T"]) for (st, z), (_, v) in zip(Z, D.test)]
        for k in (1, 9, 25):
            sm = [causal(x, k) for x in ser]
            r[f"{kind}_s{k}"] = (round(100 * roc_auc_score(lab, np.concatenate([mm(x) for x in sm])), 1), round(100 * roc_auc_score(lab, np.concatenate(sm)), 1))
        if kind == "max": r["vid"] = [round(100 * roc_auc_score(l, x)) if 0 < l.sum() < len(l) else None for l, x in zip(D.lab, ser)]
    neg = score_of(torch.cat([z for _, z in H])[:, 0], "lme4").cpu().numpy()
    for nm, xs in crit.items():
        out = []
        for i in range(0, len(xs), 64):
            with torch.autocast("cuda", torch.bfloat16, enabled=dev == "cuda" and c["bf16"]): out.append(net(xs[i:i + 64].float() / 255).float())
        sc = score_of(torch.cat(out)[:, 0], "lme4").cpu().numpy()
        r["crit_" + nm] = round(100 * roc_auc_score(np.r_[np.zeros(len(neg)), np.ones(len(sc))], np.r_[neg, sc]), 2)
    r["normal_max"] = round(float(neg.max()), 2)
    net.train(); return r

@torch.no_grad()
def criteria(held, c, size):
    T = c["T"]; out = {}
    for rate in (1.25, 1.5, 2.0):
        pos = []; glob_ = []
        for v in held:
            n = len(v); span = math.ceil((T - 1) * rate) + 1
            for a in range(0, n - span, 5):
                t = a + rate * torch.arange(T, device=dev); b = t.floor().long(); w = (t - b)[:, None, None]
                fast = (1 - w) * v[b].float() + w * v[(b + 1).clamp(max=n - 1)].float()
                mid = min(max(int(a + (rate - 1) * (T - 1) / 2), 0), n - T)
                x = v[mid:mid + T].float()
                hh, ww = size[0] // 3, size[1] // 4
                d = (fast[1:] - fast[:-1]).abs().mean(0)
                p = F.avg_pool2d(d[None, None], (hh, ww), stride=(hh // 2, ww // 2))[0, 0]
                q = int(p.argmax()); y0 = q // p.shape[1] * (hh // 2); x0 = q % p.shape[1] * (ww // 2)
                x[:, y0:y0 + hh, x0:x0 + ww] = fast[:, y0:y0 + hh, x0:x0 + ww]
                pos.append(x.round().to(torch.uint8)); glob_.append(fast.round().to(torch.uint8))
        out[f"tile{rate}"] = torch.stack(pos); out[f"glob{rate}"] = torch.stack(glob_)
    return out

def train_one(D, c, seed):
    torch.manual_seed(seed); np.random.seed(seed)
    tr, held = D.split(seed, c["vshare"])
    S = Sampler(tr, c); nout = 2 if c['others'] else 1
    net = Net(c, nout).to(dev)
    if not (c["net"] == "3d"): net = net.to(memory_format=torch.channels_last)
    params = list(net.parameters()); lr = torch.tensor(c["lr"], device=dev)
    opt = (torch.optim.AdamW(params, lr=lr, eps=1e-7, weight_decay=c["wd"], capturable=dev == "cuda", fused=dev == "cuda"))
    ema = [p.detach().clone() for p in params]; bufs = [b for b in net.buffers() if b.dtype.is_floating_point]; emab = [b.clone() for b in bufs]
    acc_loss = torch.zeros((), device=dev)
    def loss_fn():
        x, y, rate, region, other = S.batch(c["bs"])
        with torch.autocast("cuda", torch.bfloat16, enabled=dev == "cuda" and c["bf16"], cache_enabled=False):
            z = net(x)
        zo = z.float()[:, 1] if z.shape[1] > 1 else None
        z = z.float()[:, 0]
        target = torch.log2(rate.clamp(min=1)) * 2
        yy = y * (1 - 2 * c["smooth_label"]) + c["smooth_label"]
        if region is None:
            if c["reg"]: return F.smooth_l1_loss(lme(z, c["sharp"]), target)
            l = F.binary_cross_entropy_with_logits(lme(z, c["sharp"]), yy)
            if zo is not None: l = l + F.binary_cross_entropy_with_logits(lme(zo, c["sharp"]), other)
            return l
        mt = (x[:, 1:] - x[:, :-1]).abs().mean(1, keepdim=True)
        reg = F.adaptive_avg_pool2d(region, z.shape[1:])[:, 0]
        inside = reg > 0.5; outside = reg < 0.05
        def pool(mask, z=z):
            zz = torch.where(mask, z, torch.full_like(z, -30.)).flatten(1); n = mask.flatten(1).sum(1).clamp(min=1)
            return (torch.logsumexp(c["sharp"] * zz, 1) - n.float().log()) / c["sharp"]
        mv = F.adaptive_avg_pool2d(mt, z.shape[1:])[:, 0]
        has = ((mv * inside).flatten(1).max(1).values > 0.012).float()
        w_in = torch.where(y + other > 0.5, has, torch.ones_like(has)) if c["weigh"] else torch.ones_like(has)
        if c["reg"]:
            li = F.smooth_l1_loss(pool(inside), target, reduction="none") * w_in
            lo = F.smooth_l1_loss(pool(outside), torch.zeros_like(y), reduction="none") * (outside.flatten(1).sum(1) > 2).float()
            return (li + lo).mean()
        li = F.binary_cross_entropy_with_logits(pool(inside), yy, reduction="none") * w_in
        anyo = (outside.flatten(1).sum(1) > 2).float()
        lo = F.binary_cross_entropy_with_logits(pool(outside), torch.zeros_like(y), reduction="none") * anyo
        l = (li + lo).mean()
        if zo is not None:
            lx = F.binary_cross_entropy_with_logits(pool(inside, zo), other, reduction="none") * w_in
            ly = F.binary_cross_entropy_with_logits(pool(outside, zo), torch.zeros_like(y), reduction="none") * anyo
            l = l + (lx + ly).mean()
        return l
    def step():
        opt.zero_grad(set_to_none=False)
        l = loss_fn(); l.backward(); opt.step(); acc_loss.add_(l.detach())
        torch._foreach_lerp_(ema, params, 1 - c["ema"])
        if bufs: torch._foreach_lerp_(emab, bufs, 1 - c["ema"])
    crit = criteria(held, c, D.size); quarters = []
    def swapped(fn):
        keep = [p.detach().clone() for p in params]; keepb = [b.clone() for b in bufs]
        with torch.no_grad():
            for p, e in zip(params, ema): p.copy_(e)
            for b, e in zip(bufs, emab): b.copy_(e)
        r = fn()
        with torch.no_grad():
            for p, e in zip(params, keep): p.copy_(e)
            for b, e in zip(bufs, keepb): b.copy_(e)
        return r
    t0 = time.time(); graph = None; losses = []
    for p in params: p.grad = torch.zeros_like(p)
    if dev == "cuda":
        st = torch.cuda.Stream(); st.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(st):
            for _ in range(4): step()
        torch.cuda.current_stream().wait_stream(st)
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph): step()
        except Exception as e:
            print("no graph", repr(e)[:200]); graph = None
    acc_loss.zero_()
    for i in range(c["steps"]):
        if i % 25 == 0:
            f = i / c["steps"]; lr.fill_(c["lr"] * ((0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * f))) if c["sched"] == "cosine" else 1.0))
        graph.replay() if graph else step()
        if (i + 1) % max(1, c["steps"] // 4) == 0:
            losses.append(round(float(acc_loss) / max(1, c["steps"] // 4), 4)); acc_loss.zero_()
            if i + 1 < c["steps"] and c.get("quarters", True):
                q = lambda: {k: v for k, v in evaluate(net, D, held, c, crit, ("lme4",)).items() if k in ("lme4_s1",) or k.startswith("crit")}
                quarters.append(dict(step=i + 1, raw=q(), ema=swapped(q)))
    secs = time.time() - t0
    raw = evaluate(net, D, held, c, crit); em = swapped(lambda: evaluate(net, D, held, c, crit))
    n = sum(p.numel() for p in params)
    return dict(seed=seed, raw=raw, ema=em, loss=losses, quarters=quarters, secs=round(secs, 1), params=n)

def main():
    ap = argparse.ArgumentParser(); ap.add_argument("--configs"); ap.add_argument("--part", default="0/1"); ap.add_argument("--out"); ap.add_argument("--seeds", type=int, default=5); ap.add_argument("--budget", type=float, default=1e9); ap.add_argument("--over", default="{}")
    a = ap.parse_args(); start = time.time()
    vids = decode(); lab = dict(np.load(os.path.dirname(os.path.abspath(__file__)) + "/labels.npz"))
    i, n = map(int, a.part.split("/")); cfgs = json.load(open(a.configs)); cache = {}
    f = open(a.out, "a")
    for j, (name, o) in enumerate(cfgs.items()):
        if j % n != i: continue
        c = {**BASE, **o, **json.loads(a.over)}
        key = tuple(c["size"])
        if key not in cache: cache.clear(); cache[key] = Data(vids, lab, key)
        rs = []
        for s in range(a.seeds):
            if time.time() - start > a.budget: break
            try: r = train_one(cache[key], c, s)
            except Exception as e: print(name, "failed", repr(e)[:300], flush=True); break
            rs.append(r); f.write(json.dumps(dict(name=name, options=o, **r)) + "\n"); f.flush()
        if rs:
            def ms(w, k, q): v = [r[w][k][q] for r in rs]; return f"{np.mean(v):.1f}±{np.std(v, ddof=1) if len(v) > 1 else 0:.1f}"
            print(f"{name:14s} lme4 {ms('raw','lme4_s1',0)}/{ms('raw','lme4_s1',1)} lme1 {ms('raw','lme1_s1',0)}/{ms('raw','lme1_s1',1)} | ema {ms('ema','lme4_s1',0)}/{ms('ema','lme4_s1',1)} | crit {np.mean([r['raw']['crit_tile1.25'] for r in rs]):.1f} {rs[0]['secs']}s p{rs[0]['params']} loss{rs[0]['loss']}", flush=True)
main()
