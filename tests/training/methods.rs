//! What each method and schedule trains, and that it learns.

use super::{learnt, run, stop_after};
use crate::support::{cpu, tiny};
use rosa_kernels::{
    adapter::Adapter,
    backend::cpu::Cpu,
    error::Error,
    schedule::Phase::{self, Collect, Joint, WarmUp},
    train::Trainer,
};

/// Which parts the adapters of the blocks have; all of them have the same.
#[derive(Debug, PartialEq)]
struct Parts {
    low_rank: bool,
    sparse: bool,
}

const LOW_RANK: Parts = Parts { low_rank: true, sparse: false };
const SPARSE: Parts = Parts { low_rank: false, sparse: true };
const BOTH: Parts = Parts { low_rank: true, sparse: true };
const NEITHER: Parts = Parts { low_rank: false, sparse: false };

fn parts(trainer: &Trainer<Cpu>) -> Parts {
    let of = |a: &Adapter<Cpu>| Parts { low_rank: a.low_rank.is_some(), sparse: a.sparse.is_some() };
    let adapters = trainer.model().adapters();
    let (embedding_and_head, blocks): (Vec<_>, Vec<_>) =
        adapters.iter().partition(|(a, _)| !a.module.contains(".layers."));
    assert!(embedding_and_head.iter().all(|(a, _)| of(a) == NEITHER), "only the linear layers are targets");
    let first = of(blocks[0].0);
    assert!(blocks.iter().all(|(a, _)| of(a) == first));
    first
}

/// The phase of each step and the parts that are there after it.
fn history(flags: &str) -> Vec<(Phase, Parts)> {
    let mut trainer = tiny::trainer(&cpu(), &format!("{flags} --steps 4"));
    let mut history = Vec::new();
    let outcome = trainer.run(|trainer, report| {
        history.push((report.phase, parts(trainer)));
        Ok(true)
    });
    outcome.expect("a run");
    history
}

#[test]
fn every_schedule_trains_what_it_says() {
    let all = |phase, parts: [Parts; 4]| parts.map(|parts| (phase, parts)).into_iter().collect::<Vec<_>>();
    assert_eq!(
        history("--schedule wl1"),
        [(WarmUp, LOW_RANK), (Collect, BOTH), (Joint, BOTH), (Joint, BOTH)]
    );
    assert_eq!(
        history("--schedule default --collect 2"),
        [(Collect, LOW_RANK), (Collect, BOTH), (Joint, BOTH), (Joint, BOTH)]
    );
    let sparse = [(Collect, SPARSE), (Joint, SPARSE), (Joint, SPARSE), (Joint, SPARSE)];
    assert_eq!(history("--schedule spa_only"), sparse);
    assert_eq!(history("--method spa"), sparse);
    assert_eq!(history("--rank 0 --schedule default"), sparse);
    let low_rank = all(Joint, [LOW_RANK, LOW_RANK, LOW_RANK, LOW_RANK]);
    assert_eq!(history("--schedule lora_only"), low_rank);
    assert_eq!(history("--method lora"), low_rank);
    assert_eq!(history("--method full"), all(Joint, [NEITHER, NEITHER, NEITHER, NEITHER]));
    assert_eq!(
        history("--density 0 --schedule wl1"),
        [(WarmUp, LOW_RANK), (Collect, LOW_RANK), (Joint, LOW_RANK), (Joint, LOW_RANK)]
    );
}

/// The names of the parameters whose values differ between two states of a run.
fn moved(before: &mut Trainer<Cpu>, after: &mut Trainer<Cpu>) -> Vec<String> {
    let before = learnt(before);
    let values = learnt(after).into_iter().filter(|(name, _)| name.ends_with(" value"));
    values.filter(|(name, bits)| before.get(name) != Some(bits)).map(|(name, _)| name).collect()
}

#[test]
fn every_part_of_every_module_moves() {
    for (flags, count) in [
        ("--steps 6", 14 * 3),
        ("--method lora --steps 4", 14 * 2),
        ("--method spa --steps 4", 14),
        ("--method full --steps 2", 14 + 6 + 5 + 2),
        ("--target-modules all-linear,embed_tokens,lm_head --steps 6", 16 * 3),
    ] {
        let (mut after, _) = run(flags);
        assert_eq!(moved(&mut tiny::trainer(&cpu(), flags), &mut after).len(), count, "{flags}");
    }
}

#[test]
fn the_two_learning_rates_move_what_they_are_for() {
    let moved_by = |flags: &str| {
        let flags = format!("--schedule default --steps 4 {flags}");
        let mut before = tiny::trainer(&cpu(), &flags);
        stop_after(&mut before, 1);
        let (mut after, _) = run(&flags);
        moved(&mut before, &mut after)
    };
    let only = |names: Vec<String>, parts: &[&str]| {
        assert!(!names.is_empty());
        assert!(names.iter().all(|name| parts.iter().any(|part| name.ends_with(part))), "{names:?}");
    };
    only(moved_by("--lora-lr 0"), &[".s value"]);
    only(moved_by("--lr 0"), &[".a value", ".b value"]);
}

#[test]
fn patterns_override_rank_density_and_alpha_by_module() {
    let flags = "--alpha 8 --rank-pattern q_proj=4 --rank-pattern layers.1.mlp.up_proj=0 \
        --density-pattern up_proj=0.25 --density-pattern layers.0.self_attn.v_proj=0 \
        --alpha-pattern q_proj=32 --schedule default --steps 2";
    let (trainer, _) = run(flags);
    for (adapter, _) in trainer.model().adapters() {
        let (rows, cols) = adapter.shape;
        let (rank, scale, entries) = match adapter.module.as_str() {
            "model.embed_tokens" | "lm_head" => (None, None, None),
            "model.layers.1.mlp.up_proj" => (None, None, Some(24 * 16 / 4)),
            "model.layers.0.mlp.up_proj" => (Some(2), Some(4.0), Some(24 * 16 / 4)),
            "model.layers.0.self_attn.v_proj" => (Some(2), Some(4.0), None),
            m if m.ends_with("q_proj") => (Some(4), Some(8.0), Some(rows * cols / 10)),
            _ => (Some(2), Some(4.0), Some(rows * cols / 10)),
        };
        let low_rank = adapter.low_rank.as_ref();
        assert_eq!(low_rank.map(|l| l.rank()), rank, "{}", adapter.module);
        assert_eq!(low_rank.map(|l| l.scale), scale, "{}", adapter.module);
        assert_eq!(adapter.sparse.as_ref().map(|s| s.value.nnz()), entries, "{}", adapter.module);
    }
}

#[test]
fn every_method_learns() {
    for flags in [
        "--method lora",
        "--method spa",
        "--method rosa",
        "--method rosa --mask-scope global --score snip --rslora --lr-schedule cosine",
        "--method rosa --target-modules embed_tokens,lm_head",
        "--method full",
    ] {
        let (_, reports) = run(&format!("--steps 30 --batch 20 {flags}"));
        let (first, last) = (reports[0].loss, reports[29].loss);
        assert!(last < 0.8 * first, "{flags}: from {first} to {last}");
    }
}

#[test]
fn a_run_stops_at_the_step_whose_loss_is_not_finite() {
    for flags in ["--method rosa --schedule default", "--method full"] {
        let mut trainer = tiny::trainer(&cpu(), &format!("{flags} --lr 1e30 --lora-lr 1e30 --clip 0"));
        let mut good = None;
        let outcome = trainer.run(|trainer, _| {
            good = Some(learnt(trainer));
            Ok(true)
        });
        let Err(Error::NotFinite { step, .. }) = outcome else { panic!("{flags}: {outcome:?}") };
        assert_eq!(step, trainer.steps_done() + 1, "{flags}");
        assert!(step <= 3, "{flags}: noticed at step {step}");
        let state = learnt(&mut trainer);
        let unchanged = good.expect("a first step").iter().all(|(name, bits)| state[name] == *bits);
        assert!(unchanged, "{flags}: the bad step changed parameters");
    }
}
