use crate::support::{
    act,
    arbitrary::dense as arbitrary,
    assert_gradient, assert_same_on_any_thread_count,
    bound::{Exact, U32, assert_within, unit},
    f32s, host,
    reference::dense::{self, wide},
    weighted,
};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{
    backend::{
        Backend, Heads,
        Rounding::{self, Never, ToBf16},
        cpu::Cpu,
    },
    ops,
    packing::{Packing, Sequence},
    tensor::Matrix,
};

const fn heads(heads: usize, kv_heads: usize, head_dim: usize) -> Heads {
    Heads { heads, kv_heads, head_dim }
}

/// Forward on `be`: y and lse.
fn forward<B: Backend>(
    be: &B,
    [q, k, v]: [&Matrix<B>; 3],
    packing: &Packing<B>,
    heads: Heads,
    rounding: Rounding,
) -> (Matrix<B>, Matrix<B, f32>) {
    let (t, width) = (q.rows(), q.cols());
    let mut y = act(be, t, width, &vec![f32::NAN; t * width]);
    let mut lse = f32s(be, t, heads.heads, &vec![f32::NAN; t * heads.heads]);
    ops::attention(be, q, k, v, packing, heads, rounding, &mut y, &mut lse).expect("dims");
    (y, lse)
}

/// What `roundings` of the CPU's arithmetic are on this backend, at most.
///
/// With bf16 activations, sums of products are those of a tensor core, which may truncate where a CPU rounds: two units
/// instead of one. A score is an exponent of 2, so the constants that take it there and back, `log2(e)/√e` and `ln 2`,
/// bring their own rounding to each product with them: three units in all. What the online softmax adds, shrinking its
/// sums once in 64 keys by a weight of `2·S + 5` roundings (S the magnitude of scores), is less than one a key for S
/// below 29, and the key's own addition has one to spare.
fn arithmetic<B: Backend>(roundings: usize) -> usize {
    if unit::<B::Act>() == U32 { roundings } else { 3 * roundings }
}

/// The rounding of an intermediate number to the activation type or to bf16, P or dS, as a number of roundings to f32: none
/// where all are f32. It is relative to a term of a sum whose magnitude the oracle gives, and stands in one sum only:
/// those below the division and in lse are of unrounded weights, and dS is made of the unrounded P.
fn narrowing<B: Backend>(rounding: Rounding) -> usize {
    let unit = if rounding == ToBf16 { unit::<bf16>() } else { unit::<B::Act>() };
    let units = (unit / U32) as usize;
    if units == 1 { 0 } else { units }
}

/// The roundings of one weight `exp(s − m)`, as a number of relative errors: the score is a sum of e
/// products, scaled, of magnitude S at most, and subtracting `m` (a maximum or lse, |m| ≤ S + ln keys)
/// rounds once more; exp turns these absolute errors into relative ones and adds 2 ulp, which are 4 units.
fn of_a_weight(head_dim: usize, magnitude: f64, keys: usize) -> usize {
    let scores = (head_dim as f64 + 2.0) * magnitude;
    (scores + 2.0 * magnitude + (keys as f64).ln()).ceil() as usize + 4
}

/// Numbers that `rounding` leaves as they are.
fn numbers<B: Backend>(rounding: Rounding, seed: u64, count: usize) -> Vec<f32> {
    let numbers = arbitrary::numbers::<B>(seed, count);
    match rounding {
        Never => numbers,
        ToBf16 => numbers.into_iter().map(|x| bf16::from_f32(x).to_f32()).collect(),
    }
}

fn check_forward<B: Backend>(be: &B, packing: &Packing<B>, heads: Heads, rounding: Rounding) {
    let (t, keys) = (packing.tokens(), packing.keys());
    let (width, kv_width) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let q = numbers::<B>(rounding, 1, t * width);
    let [k, v] = [2, 3].map(|seed| numbers::<B>(rounding, seed, keys * kv_width));
    let matrices = (act(be, t, width, &q), act(be, keys, kv_width, &k), act(be, keys, kv_width, &v));
    let (y, lse) = forward(be, [&matrices.0, &matrices.1, &matrices.2], packing, heads, rounding);

    let want = dense::attention(&wide(&q), &wide(&k), &wide(&v), packing.sequences(), heads);
    let (longest, s) = (packing.longest(), want.score_magnitude);
    // The weights stand above and below the division; each is in a sum over the keys.
    let weight = of_a_weight(heads.head_dim, s, longest);
    let n = arithmetic::<B>(2 * (weight + longest) + 2) + narrowing::<B>(rounding);
    assert_within::<B::Act>(&host(be, &y), &want.y, n);
    // The logarithm turns the relative error of the sum into an absolute one, and it, its result and the
    // sum with the maximum round once each: all are at most `1 + S + ln keys`.
    let magnitude = 1.0 + s + (longest as f64).ln();
    let lse_want: Vec<Exact> = want.lse.iter().map(|&value| Exact { value, magnitude }).collect();
    let n = arithmetic::<B>(weight + longest + 4);
    assert_within::<f32>(&lse.download(be).expect("download"), &lse_want, n);
}

fn check_backward<B: Backend>(be: &B, lengths: &[usize], heads: Heads, rounding: Rounding) {
    let packing = Packing::causal(be, lengths).expect("lengths");
    let t = packing.tokens();
    let (width, kv_width) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let [q, dy] = [1, 4].map(|seed| numbers::<B>(rounding, seed, t * width));
    let [k, v] = [2, 3].map(|seed| numbers::<B>(rounding, seed, t * kv_width));
    let [q_matrix, dy_matrix] = [&q, &dy].map(|x| act(be, t, width, x));
    let [k_matrix, v_matrix] = [&k, &v].map(|x| act(be, t, kv_width, x));
    let (y, lse) = forward(be, [&q_matrix, &k_matrix, &v_matrix], &packing, heads, rounding);
    let mut dq = act(be, t, width, &vec![f32::NAN; t * width]);
    let [mut dk, mut dv] = [(); 2].map(|()| act(be, t, kv_width, &vec![f32::NAN; t * kv_width]));
    ops::attention_backward(
        be, &q_matrix, &k_matrix, &v_matrix, &y, &lse, &dy_matrix, &packing, heads, rounding, &mut dq,
        &mut dk, &mut dv,
    )
    .expect("dims");

    let (y, lse) = (host(be, &y), lse.download(be).expect("download"));
    let inputs = [&q, &k, &v, &y, &lse, &dy].map(|x| wide(x));
    let want = dense::attention_backward(inputs.each_ref().map(|x| &x[..]), packing.sequences(), heads);
    let s = dense::attention(&inputs[0], &inputs[1], &inputs[2], packing.sequences(), heads).score_magnitude;
    // A term of dq, dk, dv: a weight, dy·(v − y) with e products and sums and their difference, three
    // products, and a sum over all keys or over all queries of the heads that share a key.
    let terms = packing.longest() * (heads.heads / heads.kv_heads);
    let n = of_a_weight(heads.head_dim, s, packing.longest()) + heads.head_dim + 1 + 3 + terms;
    let n = arithmetic::<B>(n) + narrowing::<B>(rounding);
    for (got, want) in [dq, dk, dv].iter().zip(&want) {
        assert_within::<B::Act>(&host(be, got), want, n);
    }
}

const CORNERS: [(&str, &[usize], Heads); 20] = [
    ("no sequence", &[], heads(2, 1, 4)),
    ("one token, one head", &[1], heads(1, 1, 2)),
    ("one sequence, ragged", &[37], heads(1, 1, 10)),
    ("exactly a tile", &[64], heads(2, 2, 8)),
    ("a tile and one", &[65], heads(2, 1, 8)),
    ("several tiles", &[200], heads(3, 1, 16)),
    ("grouped heads", &[50], heads(6, 2, 4)),
    ("packed sequences of different lengths", &[1, 70, 3, 129, 64], heads(4, 2, 6)),
    ("many short sequences", &[2; 40], heads(3, 3, 4)),
    ("many sequences of one token, and a long one", &[1, 1, 1, 1, 1, 150, 1, 1, 1], heads(2, 1, 8)),
    ("a tile of rows ends within a group of heads", &[43], heads(3, 1, 8)),
    ("tiles that end with their sequence", &[16, 32, 16, 64], heads(4, 1, 6)),
    ("64 columns", &[70], heads(2, 2, 64)),
    ("two columns more than 64", &[33], heads(2, 1, 66)),
    ("80 columns, four heads a key", &[35], heads(4, 1, 80)),
    ("128 columns", &[130], heads(1, 1, 128)),
    // Wider heads go through a GPU in slices of 128 columns.
    ("two columns more than 128", &[70, 1, 9], heads(2, 1, 130)),
    ("136 columns, several tiles", &[130], heads(1, 1, 136)),
    ("256 columns, two heads a key", &[40, 70], heads(2, 1, 256)),
    ("three slices, the last ragged", &[17], heads(1, 1, 302)),
];

on_every_backend! {
    fn forward_matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, lengths, heads) in CORNERS {
            for rounding in [Never, ToBf16] {
                println!("{label}, {rounding:?}");
                check_forward(be, &Packing::causal(be, lengths).expect("lengths"), heads, rounding);
            }
        }
    }

    fn backward_matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, lengths, heads) in CORNERS {
            for rounding in [Never, ToBf16] {
                println!("{label}, {rounding:?}");
                check_backward(be, lengths, heads, rounding);
            }
        }
    }

    fn matches_the_oracle_on_any_packing(be: &impl Backend) {
        proptest!(ProptestConfig::with_cases(48), |((lengths, heads) in arbitrary::attention())| {
            check_forward(be, &Packing::causal(be, &lengths).expect("lengths"), heads, Never);
            check_backward(be, &lengths, heads, Never);
        });
    }

    fn decodes_from_a_cache(be: &impl Backend) {
        let sequence = |q_start, q_len, k_start, k_len| Sequence { q_start, q_len, k_start, k_len };
        for (label, sequences) in [
            ("one query after 99 tokens", vec![sequence(0, 1, 0, 100)]),
            ("the first query of all", vec![sequence(0, 1, 0, 1)]),
            ("a chunk of a prompt", vec![sequence(0, 70, 0, 90)]),
            ("slots of a cache in any order", vec![sequence(0, 1, 40, 13), sequence(1, 3, 0, 33), sequence(4, 1, 90, 2)]),
            ("three queries after 700 tokens", vec![sequence(0, 3, 5, 703)]),
            // A GPU splits the keys from 1024 on: two parts, of which the first query does not see all of the second;
            // three parts, of which a short sequence needs one; more queries than a tile has rows.
            ("one query after 1100 tokens", vec![sequence(0, 1, 3, 1101)]),
            ("two queries around the end of a part", vec![sequence(0, 2, 0, 1025)]),
            ("a long sequence and a short one", vec![sequence(0, 1, 20, 1600), sequence(1, 2, 0, 9)]),
            ("a chunk of a long prompt", vec![sequence(0, 70, 0, 1100)]),
            ("sequences that share a prefix", vec![sequence(0, 1, 0, 20), sequence(1, 1, 0, 20)]),
        ] {
            println!("{label}");
            let packing = Packing::new(be, sequences).expect("valid");
            check_forward(be, &packing, heads(4, 2, 8), Never);
            check_forward(be, &packing, heads(2, 1, 160), Never);
            check_forward(be, &packing, heads(1, 1, 72), Never);
        }
    }

    fn survives_scores_beyond_the_range_of_exp(be: &impl Backend) {
        let packing = Packing::causal(be, &[2]).expect("lengths");
        let (q, k) = (act(be, 2, 2, &[100.0; 4]), act(be, 2, 2, &[-100.0, -100.0, 100.0, 100.0]));
        let (y, lse) = forward(be, [&q, &k, &act(be, 2, 2, &[1.0, 2.0, 3.0, 4.0])], &packing, heads(1, 1, 2), Never);
        assert_eq!(host(be, &y), [1.0, 2.0, 3.0, 4.0]);
        assert!(lse.download(be).expect("download").iter().all(|lse| lse.abs() > 14_000.0));
    }

    fn says_what_is_wrong(be: &impl Backend) {
        let message = |q_cols: usize, k_rows: usize, heads| {
            let packing = Packing::causal(be, &[3]).expect("lengths");
            let [q, mut y] = [(); 2].map(|()| act(be, 3, q_cols, &vec![0.0; 3 * q_cols]));
            let k = act(be, k_rows, 4, &vec![0.0; k_rows * 4]);
            let mut lse = f32s(be, 3, 2, &[0.0; 6]);
            ops::attention(be, &q, &k, &k, &packing, heads, Never, &mut y, &mut lse).expect_err("wrong").to_string()
        };
        assert_eq!(message(6, 3, heads(2, 1, 4)), "attention: q has 6 cols but heads has 8 features");
        assert_eq!(message(8, 2, heads(2, 1, 4)), "attention: key row 2 is not below 2");
        assert_eq!(message(8, 3, heads(2, 0, 4)), "heads is 2, expected a multiple of the 0 key heads");
        assert_eq!(message(8, 3, heads(2, 1, 3)), "head_dim is 3, expected an even number from 2 on");

        let decoding = vec![Sequence { q_start: 0, q_len: 1, k_start: 0, k_len: 2 }];
        let packing = Packing::new(be, decoding).expect("valid");
        let x = act(be, 1, 2, &[0.0; 2]);
        let [mut dq, mut dk, mut dv] = [(); 3].map(|()| act(be, 1, 2, &[0.0; 2]));
        let lse = f32s(be, 1, 1, &[0.0]);
        let error = ops::attention_backward(
            be, &x, &x, &x, &x, &lse, &x, &packing, heads(1, 1, 2), Never, &mut dq, &mut dk, &mut dv,
        )
        .expect_err("not causal");
        assert_eq!(error.to_string(), "attention_backward: sequence has 2 keys but sequence has 1 queries");
    }
}

/// With instructions for bf16, heads of 32 columns and more go through products of panels: 512 keys are packed at a
/// time, 256 queries share them. On tiles, a sum over d terms then passes d/2 + 6 roundings within its first 32 terms and six for
/// each 32 after them, and a quarter of a rounding is left out of it: fewer than d in all, as that is 32 at least.
#[test]
fn matches_the_oracle_with_and_without_instructions_for_bf16() {
    let cpus = crate::support::cpus_and_without_bf16();
    for (label, lengths, heads) in [
        ("keys in two blocks, the last ragged", &[550][..], heads(2, 1, 32)),
        ("exactly a block, then a tile of one query", &[512, 33], heads(1, 1, 64)),
        ("columns that fill no panel", &[100, 31, 32], heads(3, 1, 50)),
        ("two key heads, a block and one", &[513], heads(2, 2, 34)),
    ] {
        for cpu in &cpus {
            for rounding in [Never, ToBf16] {
                println!("{label}, {}, {rounding:?}", cpu.vectors());
                check_forward(cpu, &Packing::causal(cpu, lengths).expect("lengths"), heads, rounding);
                check_backward(cpu, lengths, heads, rounding);
            }
        }
    }
    let sequence = Sequence { q_start: 0, q_len: 300, k_start: 7, k_len: 700 };
    for cpu in &cpus {
        for rounding in [Never, ToBf16] {
            check_forward(cpu, &Packing::new(cpu, vec![sequence]).expect("valid"), heads(2, 1, 64), rounding);
        }
    }
}

/// In panels, operands that may be rounded count as if they had been; those that may not, do not.
#[test]
fn rounds_its_operands_where_it_may() {
    let cpu = crate::support::cpu();
    let (t, heads) = (40, heads(2, 1, 32));
    let numbers: Vec<_> = [(1, 64), (2, 32), (3, 32)]
        .map(|(seed, width)| (width, arbitrary::numbers::<Cpu>(seed, t * width)))
        .into();
    let packing = Packing::causal(&cpu, &[t]).expect("lengths");
    let run = |round: bool, rounding| {
        let mut operands = numbers.iter().map(|(width, numbers)| {
            let rounded = crate::support::rounded::<bf16>(numbers);
            act(&cpu, t, *width, if round { &rounded } else { numbers })
        });
        let [q, k, v] = std::array::from_fn(|_| operands.next().expect("three operands"));
        host(&cpu, &forward(&cpu, [&q, &k, &v], &packing, heads, rounding).0)
    };
    assert_eq!(run(false, ToBf16) == run(true, ToBf16), cpu.rounds_to_bf16(t));
    assert_ne!(run(false, Never), run(true, Never));
}

#[test]
fn the_gradients_are_the_slopes_of_forward() {
    let heads = heads(4, 2, 2);
    let sequences = Packing::causal(&crate::support::cpu(), &[3, 1, 4]).expect("lengths");
    let sequences = sequences.sequences();
    let [q, dy] = [1, 4].map(|seed| wide(&arbitrary::numbers::<Cpu>(seed, 8 * 8)));
    let [k, v] = [2, 3].map(|seed| wide(&arbitrary::numbers::<Cpu>(seed, 8 * 4)));
    let saved = dense::attention(&q, &k, &v, sequences, heads);
    let y: Vec<f64> = saved.y.iter().map(|y| y.value).collect();
    let gradients = dense::attention_backward([&q, &k, &v, &y, &saved.lse, &dy], sequences, heads);
    let [dq, dk, dv] = gradients.map(|d| d.iter().map(|d| d.value).collect::<Vec<_>>());
    assert_gradient(|q| weighted(&dense::attention(q, &k, &v, sequences, heads).y, &dy), &q, &dq);
    assert_gradient(|k| weighted(&dense::attention(&q, k, &v, sequences, heads).y, &dy), &k, &dk);
    assert_gradient(|v| weighted(&dense::attention(&q, &k, v, sequences, heads).y, &dy), &v, &dv);
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    for head_dim in [16, 64] {
        for rounding in [Never, ToBf16] {
            same_bits(heads(4, 2, head_dim), rounding);
        }
    }
}

fn same_bits(heads: Heads, rounding: Rounding) {
    let (width, kv_width) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    assert_same_on_any_thread_count(|cpu| {
        let packing = Packing::causal(cpu, &[90, 5, 70]).expect("lengths");
        let [q, dy] = [1, 4].map(|seed| act(cpu, 165, width, &numbers::<Cpu>(rounding, seed, 165 * width)));
        let [k, v] =
            [2, 3].map(|seed| act(cpu, 165, kv_width, &numbers::<Cpu>(rounding, seed, 165 * kv_width)));
        let (y, lse) = forward(cpu, [&q, &k, &v], &packing, heads, rounding);
        let mut dq = act(cpu, 165, width, &vec![0.0; 165 * width]);
        let [mut dk, mut dv] = [(); 2].map(|()| act(cpu, 165, kv_width, &vec![0.0; 165 * kv_width]));
        ops::attention_backward(
            cpu, &q, &k, &v, &y, &lse, &dy, &packing, heads, rounding, &mut dq, &mut dk, &mut dv,
        )
        .expect("dims");
        [y, lse, dq, dk, dv].map(|x| host(cpu, &x)).concat()
    });
}
