"""The CPU backend beside its peers: runs the same cases in turn and prints the ratios. Started by tools/peers/run."""

import argparse
import json
import math
import resource
import signal
import statistics
import subprocess
import sys
import time

DENSITIES = [0.0015, 0.006, 0.024]
SHAPES = [(576, 576), (1536, 576), (4096, 4096)]
TOKENS = 512
BY_TOKENS = "by-tokens"
ROUNDS = 3
MEASURED = 0.6  # seconds a case, as in benches/beside.rs
STEPS = 11  # of each run, measured
UNMEASURED = 2  # steps before, as in benches/beside.rs
TURNS = 22
RANK = 16
# Of the same budget as LoRA's: 0.6 % of the weights are worth two ranks.
FLAGS = {"lora": ["--rank", str(RANK)], "rosa": ["--rank", "14", "--density", "0.006"]}


def median_time(run):
    run()
    times, started = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - started < MEASURED:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def peer_op(case):
    """What the peer runs for a case of benches/beside.rs, as a function without arguments."""
    import torch

    name, *args = case.split()
    if name == "matmul":
        base, t, n, k = args[0], *map(int, args[1:])
        if base == "nf4":
            from bitsandbytes import functional, matmul_4bit

            packed, state = functional.quantize_4bit(torch.rand(n, k) - 0.5, blocksize=64, quant_type="nf4")
            x = torch.rand(t, k) - 0.5
            return lambda: matmul_4bit(x, packed.t(), quant_state=state)
        kind = torch.bfloat16 if base == "bf16" else torch.float32
        x, w = (torch.rand(t, k) - 0.5).to(kind), (torch.rand(n, k) - 0.5).to(kind)
        return lambda: torch.nn.functional.linear(x, w)
    n, k = int(args[0]), int(args[1])
    if name == "quantize":
        from bitsandbytes import functional

        w = torch.rand(n, k) - 0.5
        return lambda: functional.quantize_4bit(w, blocksize=64, quant_type="nf4")
    kept = int(float(args[2]) * n * k)
    scores = torch.rand(n, k)
    if name == "topk":
        return lambda: torch.topk(scores.flatten(), kept, sorted=False)
    mask = torch.zeros(n * k)
    mask[torch.topk(scores.flatten(), kept).indices] = 1
    s = (mask.view(n, k) * torch.rand(n, k)).to_sparse_csr()
    t = int(args[3])
    # Each peer gets the layout that it likes best, or the one that layers have: a token's features side by side.
    xt, dyt = torch.rand(k, t) - 0.5, torch.rand(n, t) - 0.5
    x = xt.t().contiguous()
    if name == "spmm" and BY_TOKENS in args:
        return min(lambda: x @ s.t(), lambda: (s @ x.t()).t().contiguous(), key=median_time)
    if name == "spmm":
        return lambda: s @ xt
    return lambda: torch.sparse.sampled_addmm(s, dyt, x, beta=1.0)


def peer_step(base, threads):
    """LoRA on a model of SmolLM2-135M's shape by transformers and PEFT: a line a step, then the peak memory in bytes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(threads)
    kind = torch.bfloat16 if base == "bf16" else torch.float32
    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=8192, rope_theta=1e5, tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).to(kind)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=16, target_modules=targets))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=7e-4)
    ids = torch.randint(0, 49152, (2, 256))
    for step in range(UNMEASURED + STEPS):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(step, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def cases():
    """Case of benches/beside.rs, the ratio to reach."""
    for n, k in SHAPES:
        for base, goal in [("f32", 0.95), ("bf16", 0.9), ("nf4", 1.5)]:
            yield f"matmul {base} {TOKENS} {n} {k}", goal
    for n, k in SHAPES:
        yield f"quantize {n} {k}", 10
        for density in DENSITIES:
            yield f"spmm {n} {k} {density} {TOKENS}", 1.5
            yield f"spmm {n} {k} {density} {TOKENS} {BY_TOKENS}", 1.5
            yield f"sddmm {n} {k} {density} {TOKENS}", 3
            yield f"topk {n} {k} {density}", 10


def compare_ops(beside, threads, only):
    import torch

    torch.set_num_threads(threads)
    ours = subprocess.Popen([beside, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def our_time(case):
        ours.stdin.write(case + "\n")
        ours.stdin.flush()
        return float(ours.stdout.readline())

    print(f"\n{'op':<40}{'ours ms':>10}{'peer ms':>10}{'ratio':>8}{'goal':>7}")
    for case, goal in cases():
        if only and only not in case:
            continue
        run = peer_op(case)
        pairs = [(our_time(case), median_time(run)) for _ in range(ROUNDS)]
        mine, theirs = (statistics.median(times) for times in zip(*pairs))
        ratio = statistics.median(theirs / mine for mine, theirs in pairs)
        print(f"{case:<40}{1e3 * mine:>10.3f}{1e3 * theirs:>10.3f}{ratio:>8.2f}{goal:>7}", flush=True)


class Run:
    """A training run in a process of its own, which stands still while others take their turn."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(UNMEASURED):
            self.read()
        self.process.send_signal(signal.SIGSTOP)

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            command = " ".join(self.process.args)
            raise SystemExit(f"ended early, with {self.process.wait()}; by itself it says why: {command}")
        return line

    def step(self):
        """The seconds of a step."""
        before = time.perf_counter()
        self.process.send_signal(signal.SIGCONT)
        self.read()
        seconds = time.perf_counter() - before
        self.process.send_signal(signal.SIGSTOP)
        return seconds

    def peak_memory(self):
        self.process.send_signal(signal.SIGCONT)
        return int(self.read())


def ratio(above, below):
    """The median of the ratios, and its standard error by the spread of the middle half."""
    ratios = [a / b for a, b in zip(above, below)]
    low, _, high = statistics.quantiles(ratios)
    error = 1.2533 * (high - low) / 1.349 / math.sqrt(len(ratios))
    return f"{statistics.median(ratios):.3f} ± {error:.3f}"


def compare_steps(beside, threads, only):
    """Training steps of all runs in turn, so that what else the machine does meets all of them alike."""
    def peer(base):
        return [sys.executable, __file__, "--step", base, "--threads", str(threads)]

    def own(method, base):
        return [beside, str(threads), "step", method, base, str(UNMEASURED + STEPS), *FLAGS[method], "--micro-batch", "2"]

    commands = {f"PyTorch lora {base}": peer(base) for base in ("f32", "bf16")}
    for method in ("lora", "rosa"):
        commands |= {f"ours {method} {base}": own(method, base) for base in ("f32", "bf16", "nf4")}
    runs, seconds = {}, {}
    try:
        for name, command in commands.items():
            if not only or only in name + " step":
                runs[name], seconds[name] = Run(command), []
        order = list(runs)
        for _ in range(STEPS):
            for name in order:
                seconds[name].append(runs[name].step())
            order.reverse()
        print(f"\n{'training steps in turn':<28}{'tokens/s':>10}{'peak MiB':>10}   beside PyTorch")
        for name, run in runs.items():
            rate, peak = TOKENS / statistics.median(seconds[name]), run.peak_memory() / 2**20
            below = "PyTorch lora f32" if name.endswith("f32") else "PyTorch lora bf16"
            beside_peer = ratio(seconds[below], seconds[name]) if below in runs and below != name else ""
            print(f"{name:<28}{rate:>10.1f}{peak:>10.0f}   {beside_peer}", flush=True)
    finally:
        for run in runs.values():
            run.process.kill()


def compare_turns(beside, threads, only):
    """S's price and what the second thread gains, from runs in one process that take their steps in turn."""
    print("\nsteps in turn: median ratio and standard error")
    for base, sequences in (("f32", 2), ("bf16", 2), ("nf4", 2), ("bf16", 8), ("nf4", 8)):
        name = f"{base} {sequences}x256"
        if only and only not in f"turns {name}":
            continue
        steps = TURNS if sequences == 2 else TURNS // 2
        rates = {}
        # Of two equal runs the one that is built first is mostly slower, by 2 to 5 %: each comes first once.
        for order in (["lora", "rosa"], ["rosa", "lora"]):
            flags = {method: " ".join([method, *FLAGS[method], "--micro-batch", str(sequences)]) for method in order}
            command = [beside, str(threads), "turns", base, str(steps), *" -- ".join(flags.values()).split()]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
            for key, line in zip([(method, count) for method in order for count in (1, threads)], printed):
                rates.setdefault(key, []).extend(json.loads(line))

        for count in (1, threads):
            print(f"{name} LoRA / RoSA, threads: {count:<18}{ratio(rates['lora', count], rates['rosa', count])}", flush=True)
        for method in FLAGS:
            print(f"{name} {method} {threads} threads / 1 {'':<20}{ratio(rates[method, threads], rates[method, 1])}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", help="the program of benches/beside.rs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help="only cases whose name holds this")
    parser.add_argument("--step", metavar="BASE", help="measure PyTorch's training step alone")
    args = parser.parse_args()
    if args.step:
        return peer_step(args.step, args.threads)
    compare_ops(args.beside, args.threads, args.only)
    compare_steps(args.beside, args.threads, args.only)
    if args.threads > 1:
        compare_turns(args.beside, args.threads, args.only)


if __name__ == "__main__":
    main()
