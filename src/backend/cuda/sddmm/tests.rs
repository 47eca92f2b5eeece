//! Each form forced on the same inputs. All numbers are small integers, so that sums are exact in any order and every
//! form has to give the same bits as the definition.

use super::*;
use crate::backend::{Selected, cuda::csr_transpose::csr_transpose};
use crate::rng::{Purpose, Stream};
use form::SlabShape;

/// A pattern by its rows' columns.
struct Mask {
    label: &'static str,
    rows: usize,
    cols: usize,
    entries: Vec<(usize, usize)>,
}

impl Mask {
    fn new(label: &'static str, rows: usize, cols: usize, set: impl Fn(usize, usize) -> bool) -> Self {
        let all = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
        Self { label, rows, cols, entries: all.filter(|&(row, col)| set(row, col)).collect() }
    }

    fn host(&self) -> HostPattern {
        let before = |row| self.entries.partition_point(|&(r, _)| r < row);
        HostPattern {
            rows: self.rows,
            cols: self.cols,
            row_offsets: (0..=self.rows).map(|row| to_u32("nnz", before(row)).expect("fits")).collect(),
            col_indices: self.entries.iter().map(|&(_, col)| to_u32("cols", col).expect("fits")).collect(),
        }
    }
}

/// Masks whose sizes lie at the edges of windows, tiles and words.
fn masks() -> Vec<Mask> {
    let stream = Stream::new(11, Purpose::Mask, 0, 0);
    let random = move |percent: u32| {
        move |row: usize, col: usize| stream.below((row * 1_000 + col) as u64, 100) < percent
    };
    vec![
        Mask::new("aligned, three tiles of 32", 48, 96, random(10)),
        Mask::new("one row and one column too many", 257, 129, random(3)),
        Mask::new("odd rows, words of x", 15, 260, random(20)),
        Mask::new("words of dy, ragged columns", 18, 39, random(60)),
        Mask::new("full, three dense tiles", 130, 264, |_, _| true),
        Mask::new("hot rows and columns", 64, 200, move |row, col| {
            row % 10 == 3 || col % 16 == 5 || random(1)(row, col)
        }),
        Mask::new("one entry, the last", 300, 140, |row, col| (row, col) == (299, 139)),
        Mask::new("a dense tile without entries between others", 520, 136, |row, col| {
            row / 256 != 1 && row % 9 == col % 7
        }),
    ]
}

fn integers(seed: u64, count: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Data, 0, 0);
    (0..count as u64).map(|i| stream.below(i, 9) as f32 - 4.0).collect()
}

/// `add` run on `mask` with so many tokens, against the definition.
fn check(
    cuda: &Cuda,
    mask: &Mask,
    tokens: usize,
    add: impl FnOnce(Operands, &CsrPattern<Cuda>) -> Result<()>,
) {
    let (dy, x) = (integers(1, tokens * mask.rows), integers(2, tokens * mask.cols));
    let old = integers(3, mask.entries.len());
    let want: Vec<_> = (mask.entries.iter().zip(&old))
        .map(|(&(row, col), old)| {
            old + (0..tokens).map(|t| dy[t * mask.rows + row] * x[t * mask.cols + col]).sum::<f32>()
        })
        .collect();
    let host = mask.host();
    let selected = Selected {
        row_offsets: cuda.driver.upload(&host.row_offsets).expect("upload"),
        col_indices: cuda.driver.upload(&host.col_indices).expect("upload"),
    };
    let pattern = csr_transpose(cuda, mask.rows, mask.cols, selected).expect("a pattern");
    let [dy, x] = [(mask.rows, &dy), (mask.cols, &x)]
        .map(|(width, host)| Matrix::<Cuda>::from_f32(cuda, tokens, width, host).expect("upload"));
    let mut ds = cuda.driver.upload(&old).expect("upload");
    let operands = Operands {
        tokens: to_u32("tokens", tokens).expect("fits"),
        rows: to_u32("rows", mask.rows).expect("fits"),
        cols: to_u32("cols", mask.cols).expect("fits"),
        dy: cuda.driver.input(dy.buffer()),
        x: cuda.driver.input(x.buffer()),
        ds: cuda.driver.output(&mut ds),
    };
    add(operands, &pattern).expect("runs");
    let got = cuda.driver.download(&ds).expect("download");
    for ((at, got), want) in mask.entries.iter().zip(&got).zip(&want) {
        assert_eq!(got, want, "{}, {tokens} tokens, entry {at:?}", mask.label);
    }
}

fn cuda() -> Cuda {
    Cuda::new(0).unwrap_or_else(|e| panic!("{e}\nwithout a GPU: tools/with-vgpu cargo test --features cuda"))
}

#[test]
fn the_slab_form_is_the_definition() {
    let cuda = cuda();
    for mask in masks() {
        for (tokens, columns) in [(64, 1024), (64, 64), (32, 2048), (32, 32)] {
            let plan = slab::Plan::new(&cuda, &mask.host(), SlabShape { tokens, columns }).expect("a plan");
            // Two whole slabs and one token, or that alone.
            for tokens in [1, 2 * tokens + 1] {
                // SAFETY: `check` gives operands that live, and the plan is that of its pattern.
                check(&cuda, &mask, tokens, |operands, _| unsafe { plan.add(&cuda, operands) });
            }
        }
    }
}

#[test]
fn the_slab_form_goes_in_rounds_when_partials_are_many() {
    let cuda = cuda();
    let mask = &masks()[0];
    let shape = SlabShape { tokens: 32, columns: 64 };
    // Room for no slab, for one, and for two of the five.
    for slabs in [0, 1, 2] {
        let plan = slab::Plan::new(&cuda, &mask.host(), shape).expect("a plan");
        let bytes = slabs * plan.slab_bytes();
        let plan = plan.with_partial_bytes(bytes);
        // SAFETY: `check` gives operands that live, and the plan is that of its pattern.
        check(&cuda, mask, 150, |operands, _| unsafe { plan.add(&cuda, operands) });
    }
}

#[test]
fn the_dense_form_is_the_definition() {
    let cuda = cuda();
    for mask in masks() {
        let plan = dense::Plan::new(&cuda, &mask.host()).expect("a plan");
        // Below, at and above a stage; fewer stages than are on their way, and more than there are.
        for tokens in [1, 16, 17, 105] {
            // SAFETY: `check` gives operands that live, and the plan is that of its pattern.
            check(&cuda, &mask, tokens, |operands, pattern| unsafe { plan.add(&cuda, operands, pattern) });
        }
    }
}

#[test]
fn a_block_of_the_dense_form_keeps_the_columns_of_x() {
    let cuda = cuda();
    for mask in masks() {
        // All tiles for one block, and unequal shares for two; all tokens held at once, and half of them at a time.
        for (blocks, tokens) in [(1, 33), (2, 33), (1, 520)] {
            let plan = dense::Plan::new(&cuda, &mask.host()).expect("a plan").in_blocks(blocks);
            // SAFETY: `check` gives operands that live, and the plan is that of its pattern.
            check(&cuda, &mask, tokens, |operands, pattern| unsafe { plan.add(&cuda, operands, pattern) });
        }
    }
}

#[test]
fn the_gather_form_is_the_definition() {
    let cuda = cuda();
    for mask in masks() {
        for tokens in [1, 8, 41] {
            // SAFETY: `check` gives operands that live, and the pattern of ds.
            check(&cuda, &mask, tokens, |operands, pattern| unsafe { gather::add(&cuda, operands, pattern) });
        }
    }
}
