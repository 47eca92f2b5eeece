use crate::support::{
    arbitrary::dense::numbers,
    assert_same_on_any_thread_count,
    bound::assert_within,
    f32s,
    reference::dense::{self, wide},
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{AdamW, Backend, Update, cpu::Cpu},
    ops,
};

const SETTINGS: AdamW = AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1, step: 1 };

/// m, v and x after one update.
fn update<B: Backend>(be: &B, settings: AdamW, clip: f32, [grad, m, v, x]: [&[f32]; 4]) -> [Vec<f32>; 3] {
    let factor = f32s(be, 1, 2, &[f32::NAN, clip]);
    let [mut grad, mut m, mut v, mut x] =
        [grad, m, v, x].map(|host| be.upload(host.to_vec()).expect("upload"));
    // Beside another parameter, which has a gradient, settings and a length of its own.
    let [mut other_grad, mut other_m, mut other_v, mut other_x] =
        [1.0, 0.0, 0.0, 3.0].map(|number| be.upload(vec![number; 5]).expect("upload"));
    let other = AdamW { lr: 0.0, beta1: 0.0, beta2: 0.0, eps: 1.0, weight_decay: 0.0, step: 1 };
    let updates = vec![
        Update { settings: other, grad: &mut other_grad, m: &mut other_m, v: &mut other_v, x: &mut other_x },
        Update { settings, grad: &mut grad, m: &mut m, v: &mut v, x: &mut x },
    ];
    ops::adamw(be, &factor, updates).expect("dims");
    for (buffer, want) in [(&other_m, clip), (&other_v, clip * clip), (&other_x, 3.0), (&other_grad, 0.0)] {
        assert_eq!(be.download(buffer).expect("download"), [want; 5]);
    }
    assert!(be.download(&grad).expect("download").iter().all(|&grad| grad == 0.0), "gradients are cleared");
    [m, v, x].map(|buffer| be.download(&buffer).expect("download"))
}

fn check<B: Backend>(be: &B, count: usize, settings: AdamW, clip: f32) {
    let [grad, m, x] = [1, 2, 4].map(|seed| numbers::<Cpu>(seed, count));
    let v: Vec<f32> = numbers::<Cpu>(3, count).iter().map(|x| x * x).collect();
    let got = update(be, settings, clip, [&grad, &m, &v, &x]);
    let want = dense::adamw(settings, clip.into(), [&wide(&grad), &wide(&m), &wide(&v), &wide(&x)]);
    // A moment: 1 − β, the clipped gradient (twice in its square), the square, the product, the sum.
    assert_within::<f32>(&got[0], &want[0], 4);
    assert_within::<f32>(&got[1], &want[1], 6);
    // The update: m, its unbiasing (two) and the learning rate: 7; the root halves the 6 + 2 of v and adds two
    // with eps; the quotient; 1 − lr·decay has two and its product one more; the sum.
    assert_within::<f32>(&got[2], &want[2], 7 + 4 + 2 + 1 + 1);
}

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, count, settings, clip) in [
            ("one parameter", 1, SETTINGS, 1.0),
            ("no parameters", 0, SETTINGS, 1.0),
            ("several pieces", 50_001, SETTINGS, 1.0),
            ("a clipped gradient", 100, SETTINGS, 0.37),
            ("no decay", 100, AdamW { weight_decay: 0.0, ..SETTINGS }, 1.0),
            ("a late step", 100, AdamW { step: 1_000_000, ..SETTINGS }, 1.0),
            ("no memory", 100, AdamW { beta1: 0.0, beta2: 0.0, ..SETTINGS }, 1.0),
        ] {
            println!("{label}");
            check(be, count, settings, clip);
        }
    }

    fn matches_the_oracle_at_any_step(be: &impl Backend) {
        proptest!(|(count in 0..300_usize, step in 1..10_000_u32, lr in 1e-6..1.0_f32, clip in 0.0..1.0_f32)| {
            check(be, count, AdamW { step, lr, ..SETTINGS }, clip);
        });
    }

    fn a_gradient_of_zero_moves_nothing(be: &impl Backend) {
        let settings = AdamW { weight_decay: 0.0, ..SETTINGS };
        let [m, v, x] = update(be, settings, 1.0, [&[0.0; 3], &[0.0; 3], &[0.0; 3], &[1.0, -2.0, 0.0]]);
        assert_eq!((m, v, x), (vec![0.0; 3], vec![0.0; 3], vec![1.0, -2.0, 0.0]));
    }

    fn says_what_is_wrong(be: &impl Backend) {
        let clip = f32s(be, 1, 2, &[1.0; 2]);
        let message = |settings: AdamW, length: usize| {
            let mut grad = be.zeros(length).expect("memory");
            let [mut m, mut v, mut x] = [(); 3].map(|()| be.zeros(4).expect("memory"));
            let update = Update { settings, grad: &mut grad, m: &mut m, v: &mut v, x: &mut x };
            ops::adamw(be, &clip, vec![update]).expect_err("wrong").to_string()
        };
        assert_eq!(message(SETTINGS, 3), "adamw: grad has 3 elements but x has 4 elements");
        assert_eq!(message(AdamW { step: 0, ..SETTINGS }, 4), "step is 0, expected a count from 1 on");
    }
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    let [grad, m, x] = [1, 2, 4].map(|seed| numbers::<Cpu>(seed, 60_001));
    let v: Vec<f32> = m.iter().map(|m| m * m).collect();
    assert_same_on_any_thread_count(|cpu| update(cpu, SETTINGS, 0.5, [&grad, &m, &v, &x]).concat());
}

/// Every operation is rounded by itself, in the same order.
#[cfg(feature = "cuda")]
#[test]
fn gives_the_bits_of_the_cpu_on_a_gpu() {
    use crate::support::{cpu, cuda};
    let [grad, m, x] = [1, 2, 4].map(|seed| numbers::<Cpu>(seed, 10_001));
    let v: Vec<f32> = m.iter().map(|m| m * m).collect();
    for step in [1, 7, 100_000] {
        let settings = AdamW { step, ..SETTINGS };
        let bits =
            |results: [Vec<f32>; 3]| results.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let problem = [&grad[..], &m, &v, &x];
        assert_eq!(
            bits(update(&cpu(), settings, 0.37, problem)),
            bits(update(cuda(), settings, 0.37, problem))
        );
    }
}
