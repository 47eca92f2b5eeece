//! Every backward pass against finite differences of its forward pass, with everything trained at once: the base,
//! the low-rank and the sparse parts, under dropout.

use crate::support::{arbitrary::sparse::normals, bound::U32, cpu, tiny};
use rosa_kernels::{
    adapter::Adapter,
    architecture::Architecture,
    backend::{Write, cpu::Cpu},
    model::Model,
    num::fraction_of,
    ops,
    param::ParamView,
    pass::{Batch, Dropout, Granularity, Pass, Rope, Tokens},
    tensor::Matrix,
    train,
};
use std::sync::Arc;

/// A sum and the sum of its terms' magnitudes.
#[derive(Clone, Copy)]
struct Sum {
    value: f64,
    magnitude: f64,
}

/// `Σ wᵢ·yᵢ` in f64.
fn weighted(w: &[f32], y: &[f32]) -> Sum {
    assert_eq!(w.len(), y.len());
    let terms = || w.iter().zip(y).map(|(&w, &y)| f64::from(w) * f64::from(y));
    Sum { value: terms().sum(), magnitude: terms().map(f64::abs).sum() }
}

/// Asserts that `gradient` is the gradient of `f` at `x`: its slopes along three random directions are what the
/// gradient says, which sees an error `e` in any element as `e·v` with v normal.
///
/// With `q(h)` the central difference quotient, `(4·q(h) − q(2h))/3` is right up to fourth order (Richardson): what
/// is left is below a thousandth of the gradient for parameters of size 1 that move by 1/256. And an evaluation of f
/// in f32 errs by about `√n·u·magnitude` with n the roundings on its longest path, below 200 here (Higham and Mary,
/// *A new approach to probabilistic rounding error analysis*, 2019): two of them over `2h`, and half of that over
/// `4h`, make `1.5·√n·u·magnitude/h`.
#[track_caller]
fn assert_slopes(name: &str, x: &[f32], gradient: &[f32], mut f: impl FnMut(&[f32]) -> Sum) {
    const H: f64 = 1.0 / 256.0;
    const ROUNDINGS: f64 = 200.0;
    let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    assert!(norm > 0.0, "{name}: no gradient at all");
    for seed in 0..3 {
        let v = normals(seed, x.len());
        let want = weighted(gradient, &v).value;
        let mut at = |t: f64| {
            let moved = x.iter().zip(&v).map(|(&x, &v)| (f64::from(x) + t * f64::from(v)) as f32);
            f(&moved.collect::<Vec<_>>())
        };
        let noise = 1.5 * ROUNDINGS.sqrt() * U32 * at(0.0).magnitude / H;
        let mut quotient = |h: f64| (at(h).value - at(-h).value) / (2.0 * h);
        let slope = (4.0 * quotient(H) - quotient(2.0 * H)) / 3.0;
        let (error, bound) = ((slope - want).abs(), noise + 1e-3 * norm);
        assert!(error <= bound, "{name}: slope {slope}, gradient {want}, error {error:e} above {bound:e}");
    }
}

/// [`assert_slopes`] for every trained parameter of a part of the model, with the gradients that it holds.
#[track_caller]
fn assert_params(
    model: &mut Model<Cpu>,
    params: impl for<'a> Fn(&'a mut Model<Cpu>, &mut Vec<ParamView<'a, Cpu>>),
    loss: impl Fn(&Model<Cpu>) -> Sum,
) {
    let mut views = Vec::new();
    params(model, &mut views);
    let parts: Vec<_> = views.into_iter().map(|v| (v.name, v.value.clone(), v.grad.clone())).collect();
    for (i, (name, value, grad)) in parts.iter().enumerate() {
        let set = |model: &mut Model<Cpu>, value: &[f32]| {
            let mut views = Vec::new();
            params(model, &mut views);
            views[i].value.copy_from_slice(value);
        };
        assert_slopes(name, value, grad, |moved| {
            set(model, moved);
            loss(model)
        });
        set(model, value);
    }
}

/// Three sequences of other lengths, tokens that come again, loss on some rows only.
struct Scene {
    be: Cpu,
    batch: Batch<Cpu>,
    rope: Arc<Rope<Cpu>>,
    dropout: f32,
}

/// The scene and a model of this shape in which everything is trained and nothing is zero.
fn scene(architecture: Architecture) -> (Scene, Model<Cpu>) {
    let be = cpu();
    let mut model = tiny::model(&be, architecture);
    model.train_base(&be).expect("an f32 base");
    scene_of(be, model, EVERY_WEIGHT, 0.3, 1)
}

const EVERY_WEIGHT: &str = "all-linear,embed_tokens,lm_head";

/// The scene, its sequences so many times, and adapters on these weights of the model.
fn scene_of(
    be: Cpu,
    mut model: Model<Cpu>,
    targets: &str,
    dropout: f32,
    times: usize,
) -> (Scene, Model<Cpu>) {
    let flags = format!("--rank 2 --alpha 2 --density 0.2 --target-modules {targets}");
    train::attach(&be, &mut model, &tiny::options(&flags)).expect("adapters");
    let adapters = model.adapters_mut().into_iter().filter(|adapter| adapter.low_rank.is_some());
    for (adapter, seed) in adapters.zip(100..) {
        fill(&be, adapter, seed);
    }
    let losses = [[2..3, 5..8], [2..2, 3..4], [1..2, 2..3]];
    let tokens: [&[u32]; 3] = [&[1, 7, 7, 30, 2, 9, 44, 3], &[1, 9, 30, 30], &[4, 44, 2]];
    let sequences = [0, 1, 2].map(|i| Tokens { tokens: tokens[i], loss: &losses[i] });
    let sequences = sequences.repeat(times);
    let batch = Batch::new(&be, &sequences).expect("a batch");
    let rope = Arc::clone(&model.rope);
    (Scene { be, batch, rope, dropout }, model)
}

/// Makes B and S of a fresh adapter something else than zero.
fn fill(be: &Cpu, adapter: &mut Adapter<Cpu>, seed: u64) {
    let (rows, cols) = adapter.shape;
    let values = |count| normals(seed, count).into_iter().map(|x| 0.3 * x).collect::<Vec<_>>();
    let scores = Matrix::upload(be, rows, cols, values(rows * cols)).expect("scores");
    let k = fraction_of(adapter.density, rows * cols);
    let mask = ops::topk_mask(be, &[&scores], k).expect("a mask").remove(0);
    adapter.begin_sparse(be, mask).expect("S");
    *adapter.sparse.as_mut().expect("S").value.values_mut() = values(k).into();
    let b = &mut adapter.low_rank.as_mut().expect("A and B").b.value;
    *b.buffer_mut() = values(b.len()).into();
}

impl Scene {
    fn pass(&self) -> Pass<'_, Cpu> {
        let dropout = Some(Dropout { p: self.dropout, seed: 5, step: 3, first_row: 0, first_loss_row: 0 });
        Pass { dropout, ..self.batch.pass(&self.be, &self.rope) }
    }

    /// The batch's rows of `cols` normal numbers.
    fn rows(&self, seed: u64, cols: usize) -> Matrix<Cpu> {
        self.matrix(cols, &normals(seed, self.batch.tokens.len() * cols))
    }

    fn matrix(&self, cols: usize, values: &[f32]) -> Matrix<Cpu> {
        Matrix::from_f32(&self.be, values.len() / cols, cols, values).expect("rows")
    }

    fn zeros(&self, cols: usize) -> Matrix<Cpu> {
        Matrix::zeros(&self.be, self.batch.tokens.len(), cols).expect("rows")
    }
}

/// Proves one layer: `forward(model, pass, x)` gives y, `backward(model, pass, x, dy)` gives dx and fills the
/// gradients of `params`.
#[track_caller]
fn assert_layer(
    inputs: usize,
    outputs: usize,
    forward: impl Fn(&Model<Cpu>, &Pass<'_, Cpu>, Matrix<Cpu>) -> Matrix<Cpu>,
    backward: impl Fn(&mut Model<Cpu>, &Scene, Matrix<Cpu>, Matrix<Cpu>) -> Matrix<Cpu>,
    params: impl for<'a> Fn(&'a mut Model<Cpu>, &mut Vec<ParamView<'a, Cpu>>),
) {
    let (scene, mut model) = scene(tiny::architecture());
    let dy = scene.rows(1, outputs);
    let x = scene.rows(2, inputs);
    let weights = dy.buffer().clone();
    let loss = |model: &Model<Cpu>, x: &[f32]| {
        let y = forward(model, &scene.pass(), scene.matrix(inputs, x));
        weighted(&weights, y.buffer())
    };
    let x = x.buffer().clone();
    let dx = backward(&mut model, &scene, scene.matrix(inputs, &x), dy);
    assert_slopes("x", &x, dx.buffer(), |x| loss(&model, x));
    assert_params(&mut model, params, |model| loss(model, &x));
}

#[test]
fn a_linear_layer() {
    assert_layer(
        16,
        16,
        |model, pass, x| model.blocks[0].attention.q.forward(pass, &x).expect("forward").0,
        |model, scene, x, dy| {
            let (layer, mut dx) = (&mut model.blocks[0].attention.q, scene.zeros(16));
            let saved = layer.forward(&scene.pass(), &x).expect("forward").1;
            layer.backward(&scene.pass(), &x, saved, &dy, Write::Overwrite, &mut dx).expect("backward");
            dx
        },
        |model, views| model.blocks[0].attention.q.params(views),
    );
}

#[test]
fn a_norm() {
    assert_layer(
        16,
        16,
        |model, pass, x| model.head.norm.forward(pass.be, &x).expect("forward"),
        |model, scene, x, dy| {
            let mut dx = scene.zeros(16);
            model.head.norm.backward_add(&scene.be, &x, &dy, &mut dx).expect("backward");
            dx
        },
        |model, views| model.head.norm.params(views),
    );
}

#[test]
fn attention() {
    assert_layer(
        16,
        16,
        |model, pass, x| model.blocks[1].attention.forward(pass, &x, None).expect("forward").0,
        |model, scene, x, dy| {
            let layer = &mut model.blocks[1].attention;
            let saved = layer.forward(&scene.pass(), &x, None).expect("forward").1;
            layer.backward(&scene.pass(), &x, saved, &dy, true).expect("backward").expect("it is wanted")
        },
        |model, views| model.blocks[1].attention.params(views),
    );
}

#[test]
fn the_feed_forward_layer() {
    assert_layer(
        16,
        16,
        |model, pass, x| model.blocks[1].mlp.forward(pass, &x).expect("forward").0,
        |model, scene, x, dy| {
            let layer = &mut model.blocks[1].mlp;
            let saved = layer.forward(&scene.pass(), &x).expect("forward").1;
            layer.backward(&scene.pass(), &x, saved, &dy).expect("backward")
        },
        |model, views| model.blocks[1].mlp.params(views),
    );
}

#[test]
fn a_block() {
    assert_layer(
        16,
        16,
        |model, pass, x| model.blocks[0].forward(pass, x, None).expect("forward").0,
        |model, scene, x, dy| {
            let block = &mut model.blocks[0];
            let saved = block.forward(&scene.pass(), x, None).expect("forward").1;
            block.backward(&scene.pass(), saved, dy, true).expect("backward").expect("it is wanted")
        },
        |model, views| model.blocks[0].params(views),
    );
}

#[test]
fn the_embedding() {
    let (scene, mut model) = scene(tiny::architecture());
    let dx = scene.rows(1, 16);
    model.embedding.backward(&scene.pass(), &scene.batch, &dx).expect("backward");
    assert_params(
        &mut model,
        |model, views| model.embedding.params(views),
        |model| {
            let y = model.embedding.forward(&scene.be, &scene.batch.ids).expect("forward");
            weighted(dx.buffer(), y.buffer())
        },
    );
}

/// The head and its loss; chunks of single examples where `granularity` and scores ask for them.
fn assert_head(architecture: Architecture) {
    const SCALE: f32 = 0.5;
    let (scene, mut model) = scene(architecture);
    let h = scene.rows(3, 16);
    let h = h.buffer().clone();
    let Model { head, embedding, .. } = &mut model;
    let mut losses = Matrix::zeros(&scene.be, 1, scene.batch.targets.len()).expect("memory");
    let dh = head
        .losses_and_backward(
            &scene.pass(),
            Granularity::Example,
            embedding,
            &scene.batch,
            SCALE,
            &scene.matrix(16, &h),
            0,
            &mut losses,
        )
        .expect("backward");
    let loss = |model: &Model<Cpu>, h: &[f32]| {
        let h = scene.matrix(16, h);
        let losses = model.head.losses(&scene.pass(), &model.embedding, &scene.batch, &h).expect("forward");
        weighted(&vec![SCALE; losses.len()], losses.buffer())
    };
    assert_eq!(weighted(&vec![SCALE; losses.len()], losses.buffer()).value, loss(&model, &h).value);
    assert_slopes("h", &h, dh.buffer(), |h| loss(&model, h));
    assert_params(
        &mut model,
        |model, views| {
            model.head.params(views);
            if model.architecture.tie_word_embeddings {
                model.embedding.table.params("the table", views);
            }
        },
        |model| loss(model, &h),
    );
}

#[test]
fn the_head() {
    assert_head(tiny::architecture());
}

#[test]
fn the_head_that_is_the_embedding() {
    assert_head(tiny::tied());
}

fn assert_model((scene, mut model): (Scene, Model<Cpu>)) {
    const SCALE: f32 = 0.5;
    let mut losses = Matrix::zeros(&scene.be, 1, scene.batch.targets.len()).expect("memory");
    model
        .losses_and_gradients(&scene.pass(), Granularity::Example, &scene.batch, SCALE, 0, &mut losses)
        .expect("backward");
    assert_params(
        &mut model,
        |model, views| views.extend(model.params()),
        |model| {
            let losses = model.losses(&scene.pass(), &scene.batch).expect("forward");
            weighted(&vec![SCALE; losses.len()], &losses)
        },
    );
}

#[test]
fn the_whole_model() {
    assert_model(scene(tiny::architecture()));
}

#[test]
fn the_whole_tied_model() {
    assert_model(scene(tiny::tied()));
}

/// Without dropout the low-rank part joins the product with the weight backward too, where there are tokens enough.
/// A product that rounds activations has no slope to find.
#[test]
fn the_whole_model_on_a_4_bit_base() {
    for dropout in [0.3, 0.0] {
        let be = cpu().without_bf16();
        let model = tiny::quantized(&be, tiny::architecture());
        assert_model(scene_of(be, model, EVERY_WEIGHT, dropout, 3));
    }
}

/// Nothing asks for the gradient of what the first block reads.
#[test]
fn the_whole_model_with_a_frozen_embedding() {
    for dropout in [0.3, 0.0] {
        let model = tiny::model(&cpu(), tiny::architecture());
        assert_model(scene_of(cpu(), model, "all-linear", dropout, 1));
    }
}
