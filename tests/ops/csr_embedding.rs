use crate::support::{
    act,
    arbitrary::sparse::{HostCsr, any_csr, corners, normals},
    bound::{Exact, assert_within},
    host, stored,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    ops,
    rng::{Purpose, Stream},
    tensor::Ids,
};

/// Token ids below `vocab`, many of them the same.
fn some_ids(tokens: usize, vocab: usize) -> Vec<u32> {
    let stream = Stream::new(9, Purpose::Data, 0, 0);
    let below = |i| stream.below(2 * i + 1, vocab as u32);
    (0..tokens as u64).map(|i| if stream.uniform(2 * i) < 0.5 { below(0) } else { below(i) }).collect()
}

fn forward<B: Backend>(be: &B, s: &HostCsr, ids: &[u32]) -> Vec<f32> {
    let mut y = act(be, ids.len(), s.cols, &normals(5, ids.len() * s.cols));
    let ids = Ids::upload(be, ids.to_vec()).expect("upload");
    ops::csr_embedding_add(be, &s.upload(be), &ids, &mut y).expect("dimensions agree");
    host(be, &y)
}

fn backward<B: Backend>(be: &B, s: &HostCsr, ids: &[u32]) -> Vec<f32> {
    let dy = act(be, ids.len(), s.cols, &normals(5, ids.len() * s.cols));
    let ids = Ids::upload(be, ids.to_vec()).expect("upload");
    let mut ds = s.upload(be);
    ops::csr_embedding_grad_add(be, &ids, &dy, &mut ds).expect("dimensions agree");
    be.download(ds.values()).expect("download")
}

/// Forward: one sum, rounded once. Backward: at most one term per token, and the old value.
fn check<B: Backend>(be: &B, s: &HostCsr, ids: &[u32]) {
    let (dense, dy) = (s.dense(), stored::<B>(&normals(5, ids.len() * s.cols)));
    let mut y: Vec<Exact> = Vec::new();
    for (i, &dy) in dy.iter().enumerate() {
        let mut sum = Exact::default();
        sum.add(1.0, f64::from(dy));
        sum.add(1.0, f64::from(dense[ids[i / s.cols] as usize * s.cols + i % s.cols]));
        y.push(sum);
    }
    assert_within::<B::Act>(&forward(be, s, ids), &y, 1);

    let mut ds: Vec<Exact> = Vec::new();
    for (&(row, column), &value) in s.entries.iter().zip(&s.values) {
        let mut sum = Exact::default();
        sum.add(1.0, f64::from(value));
        for (t, _) in ids.iter().enumerate().filter(|&(_, &id)| id as usize == row) {
            sum.add(1.0, f64::from(dy[t * s.cols + column]));
        }
        ds.push(sum);
    }
    assert_within::<f32>(&backward(be, s, ids), &ds, ids.len() + 1);
}

on_every_backend! {
    fn corner_cases(be: &impl Backend) {
        for (label, s) in corners() {
            for tokens in if s.rows == 0 { &[0][..] } else { &[0, 1, 200] } {
                println!("{label}, {tokens} tokens");
                check(be, &s, &some_ids(*tokens, s.rows));
            }
        }
    }

    fn any_case(be: &impl Backend) {
        proptest!(|(s in any_csr(), tokens in 0..300_usize)| check(be, &s, &some_ids(tokens, s.rows)));
    }

    fn operands_that_do_not_fit_are_refused(be: &impl Backend) {
        let table = || HostCsr::random(4, 6, 0.5).upload(be);
        let of = |rows, cols| act(be, rows, cols, &vec![0.0; rows * cols]);
        let ids = |ids: &[u32]| Ids::upload(be, ids.to_vec()).expect("upload");
        let forward = |of: &[u32], mut y| {
            ops::csr_embedding_add(be, &table(), &ids(of), &mut y).expect_err("refused").to_string()
        };
        let backward = |of: &[u32], dy| {
            ops::csr_embedding_grad_add(be, &ids(of), &dy, &mut table()).expect_err("refused").to_string()
        };
        assert_eq!(forward(&[0, 4], of(2, 6)), "csr_embedding_add: id 4 is not below 4");
        assert_eq!(forward(&[0, 3], of(3, 6)), "csr_embedding_add: ids has 2 len but y has 3 rows");
        assert_eq!(forward(&[0, 3], of(2, 5)), "csr_embedding_add: s has 6 cols but y has 5 cols");
        assert_eq!(backward(&[9], of(1, 6)), "csr_embedding_grad_add: id 9 is not below 4");
        assert_eq!(backward(&[3], of(2, 6)), "csr_embedding_grad_add: ids has 1 len but dy has 2 rows");
        assert_eq!(backward(&[3], of(1, 7)), "csr_embedding_grad_add: ds has 6 cols but dy has 7 cols");
    }
}

#[test]
fn the_thread_count_changes_nothing() {
    let s = HostCsr::random(300, 70, 0.3);
    let ids = some_ids(1000, s.rows);
    let run = |threads| {
        let cpu = Cpu::new(Some(threads)).expect("threads");
        (forward(&cpu, &s, &ids), backward(&cpu, &s, &ids))
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}

/// The terms of an entry are added one by one, in the order of the tokens, on every backend.
#[cfg(feature = "cuda")]
#[test]
fn gradients_have_the_bits_of_the_cpu_on_a_gpu() {
    use crate::support::{cpu, cuda};
    use rosa_kernels::backend::cuda::Cuda;
    fn bits<B: Backend>(be: &B, s: &HostCsr, ids: &[u32], dy: &[f32]) -> Vec<u32> {
        let dy = act(be, ids.len(), s.cols, dy);
        let (ids, mut ds) = (Ids::upload(be, ids.to_vec()).expect("upload"), s.upload(be));
        ops::csr_embedding_grad_add(be, &ids, &dy, &mut ds).expect("dimensions agree");
        be.download(ds.values()).expect("download").into_iter().map(f32::to_bits).collect()
    }
    let s = HostCsr::random(30, 70, 0.3);
    let ids = some_ids(700, s.rows);
    let dy = stored::<Cuda>(&normals(5, ids.len() * s.cols));
    assert_eq!(bits(&cpu(), &s, &ids, &dy), bits(cuda(), &s, &ids, &dy));
}
