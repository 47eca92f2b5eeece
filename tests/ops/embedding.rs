use crate::support::{
    act,
    arbitrary::dense::{indices, numbers},
    assert_same_on_any_thread_count,
    bound::{Exact, assert_within},
    f32s, host, stored,
};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    ops,
    tensor::{Ids, Matrix, Weight},
};

fn check<B: Backend>(be: &B, vocab: usize, ids: &[u32], k: usize) {
    let t = ids.len();
    let on_device = Ids::upload(be, ids.to_vec()).expect("upload");
    let values = numbers::<B>(1, vocab * k);
    let rounded: Vec<f32> = values.iter().map(|&x| bf16::from_f32(x).to_f32()).collect();
    let wide_table = f32s(be, vocab, k, &values);
    let narrow_table = Matrix::<B, bf16>::from_f32(be, vocab, k, &rounded).expect("upload");
    for (table, values) in [(Weight::F32(&wide_table), &values), (Weight::Bf16(&narrow_table), &rounded)] {
        let mut y = act(be, t, k, &vec![f32::NAN; t * k]);
        ops::embedding(be, table, &on_device, &mut y).expect("dims");
        let want: Vec<f32> = ids.iter().flat_map(|&id| &values[id as usize * k..][..k]).copied().collect();
        assert_eq!(host(be, &y), stored::<B>(&want));
    }

    let (dy, before) = (numbers::<B>(2, t * k), numbers::<B>(3, vocab * k));
    let mut dtable = f32s(be, vocab, k, &before);
    ops::embedding_grad_add(be, &on_device, &act(be, t, k, &dy), &mut dtable).expect("dims");
    let mut want = vec![Exact::default(); vocab * k];
    want.iter_mut().zip(&before).for_each(|(sum, &x)| sum.add(x.into(), 1.0));
    for (t, &id) in ids.iter().enumerate() {
        for j in 0..k {
            want[id as usize * k + j].add(dy[t * k + j].into(), 1.0);
        }
    }
    // A term passes at most one sum per token.
    assert_within::<f32>(&dtable.download(be).expect("download"), &want, t);
}

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, vocab, ids, k) in [
            ("one token, one word", 1, vec![0], 1),
            ("no tokens", 4, vec![], 3),
            ("the first and the last word", 9, vec![8, 0], 5),
            ("one word again and again", 3, vec![1; 50], 7),
            ("several pieces of the table", 900, indices(5, 300, 900), 70),
            ("whole vectors", 20, indices(5, 70, 20), 64),
            ("more ids than a block looks at at once", 40, indices(6, 2500, 40), 4),
            ("wider than a block", 3, vec![2, 0, 2], 1100),
        ] {
            println!("{label}");
            check(be, vocab, &ids, k);
        }
    }

    fn matches_the_oracle_on_any_ids(be: &impl Backend) {
        proptest!(|(ids in prop::collection::vec(0..50_u32, 0..60), k in 1..20_usize)| check(be, 50, &ids, k));
    }

    fn names_the_id_that_has_no_row(be: &impl Backend) {
        let table = f32s(be, 3, 2, &[0.0; 6]);
        let ids = Ids::upload(be, vec![1, 3]).expect("upload");
        let mut y = act(be, 2, 2, &[0.0; 4]);
        let error = ops::embedding(be, (&table).into(), &ids, &mut y).expect_err("3 rows");
        assert_eq!(error.to_string(), "embedding: id 3 is not below 3");
        let mut y = act(be, 1, 2, &[0.0; 2]);
        let error = ops::embedding(be, (&table).into(), &ids, &mut y).expect_err("2 ids");
        assert_eq!(error.to_string(), "embedding: y has 1 rows but ids has 2 len");
    }
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    let (vocab, t, k) = (1000, 2000, 40);
    assert_same_on_any_thread_count(|cpu| {
        let ids = Ids::upload(cpu, indices(5, t, 900)).expect("upload");
        let mut dtable = f32s(cpu, vocab, k, &numbers::<Cpu>(1, vocab * k));
        ops::embedding_grad_add(cpu, &ids, &act(cpu, t, k, &numbers::<Cpu>(2, t * k)), &mut dtable)
            .expect("dims");
        host(cpu, &dtable)
    });
}

/// The rows of an id are added one by one, in the order of the tokens, on every backend.
#[cfg(feature = "cuda")]
#[test]
fn gives_the_bits_of_the_cpu_on_a_gpu() {
    use crate::support::{cpu, cuda};
    use rosa_kernels::backend::cuda::Cuda;
    let (vocab, t, k) = (30, 700, 24);
    fn bits<B: Backend>(be: &B, [vocab, t, k]: [usize; 3], dy: &[f32]) -> Vec<u32> {
        let ids = Ids::upload(be, indices(5, t, vocab as u32)).expect("upload");
        let mut dtable = f32s(be, vocab, k, &numbers::<Cpu>(1, vocab * k));
        ops::embedding_grad_add(be, &ids, &act(be, t, k, dy), &mut dtable).expect("dims");
        dtable.download(be).expect("download").into_iter().map(f32::to_bits).collect()
    }
    let dy = numbers::<Cuda>(2, t * k);
    assert_eq!(bits(&cpu(), [vocab, t, k], &dy), bits(cuda(), [vocab, t, k], &dy));
}
