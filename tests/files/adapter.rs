use super::{assert_says, temp_dir, write_json};
use half::{bf16, f16};
use rosa_kernels::{
    architecture::Architecture,
    checkpoint::{
        AdapterConfig, AdapterFile, LowRank, Method, ModuleAdapter, SparsePart, TensorSource, Weights,
        write_weights,
    },
    pattern::Pattern,
};
use safetensors::Dtype;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

const Q: &str = "model.layers.0.self_attn.q_proj";
const UP: &str = "model.layers.0.mlp.up_proj";
const EMBEDDING: &str = "model.embed_tokens";

fn base() -> Architecture {
    let dir = temp_dir();
    let config = json!({
        "model_type": "llama", "vocab_size": 9, "hidden_size": 4, "intermediate_size": 40_000,
        "num_hidden_layers": 1, "num_attention_heads": 2,
    });
    write_json(dir.path(), "config.json", &config);
    Architecture::read(dir.path()).unwrap()
}

fn config(method: Method) -> AdapterConfig {
    AdapterConfig {
        method,
        rank: 2,
        alpha: 16.0,
        density: 0.25,
        dropout: 0.05,
        rslora: false,
        target_modules: vec!["q_proj".to_owned(), "up_proj".to_owned(), "embed_tokens".to_owned()],
        rank_pattern: Pattern::new("rank_pattern", [("up_proj".to_owned(), 1)]).unwrap(),
        alpha_pattern: Pattern::new("alpha_pattern", [(r"layers\.0\.mlp.*".to_owned(), 3.0)]).unwrap(),
        density_pattern: Pattern::default(),
        base_model: "some/model".to_owned(),
        schedule: "wl64".to_owned(),
        base_held_as: None,
    }
}

fn low_rank(rank: usize, out: usize, input: usize) -> Option<LowRank> {
    let numbers = |count: usize| (0..count).map(|i| i as f32 * 0.5 - 1.0).collect();
    Some(LowRank { rank, a: numbers(rank * input), b: numbers(out * rank) })
}

fn sparse(cols: usize, row_offsets: &[u32], col_indices: &[u32]) -> Option<SparsePart> {
    let values = (0..col_indices.len()).map(|i| i as f32 - 0.5).collect();
    Some(SparsePart { cols, row_offsets: row_offsets.to_vec(), col_indices: col_indices.to_vec(), values })
}

/// A linear map with both parts, a larger one with more rows than i16 counts, and the embedding, transposed.
fn rosa() -> AdapterFile {
    let mut many_rows = vec![0; 40_001];
    many_rows[40_000] = 2;
    let module = |out_features, in_features, low_rank, sparse| ModuleAdapter {
        out_features,
        in_features,
        low_rank,
        sparse,
    };
    let modules = BTreeMap::from([
        (Q.to_owned(), module(4, 4, low_rank(2, 4, 4), sparse(4, &[0, 0, 1, 3, 4], &[3, 0, 2, 1]))),
        (UP.to_owned(), module(40_000, 4, low_rank(1, 40_000, 4), sparse(4, &many_rows, &[1, 2]))),
        (
            EMBEDDING.to_owned(),
            module(4, 9, low_rank(2, 4, 9), sparse(4, &[0, 1, 1, 1, 1, 1, 1, 1, 1, 2], &[3, 0])),
        ),
    ]);
    AdapterFile { config: config(Method::Rosa), modules }
}

fn lora() -> AdapterFile {
    let mut adapter = AdapterFile { config: config(Method::Lora), ..rosa() };
    adapter.config.density = 0.0;
    adapter.config.schedule = "lora_only".to_owned();
    adapter.modules.values_mut().for_each(|module| module.sparse = None);
    adapter
}

fn json_of(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("adapter_config.json")).unwrap()).unwrap()
}

/// Writes `tensors` as the adapter of `dir`, beside the config of a ROSA adapter of rank 2.
fn write_tensors(dir: &Path, tensors: Vec<TensorSource<'_>>) {
    write_json(dir, "adapter_config.json", &json!({ "peft_type": "ROSA", "r": 2, "lora_alpha": 4 }));
    write_weights(&dir.join("adapter_model.safetensors"), &BTreeMap::new(), tensors).unwrap();
}

fn q(part: &str) -> String {
    format!("base_model.model.{Q}.rosa_{part}")
}

#[test]
fn rosa_adapters_have_the_names_and_types_of_the_reference() {
    let dir = temp_dir();
    rosa().write(dir.path()).unwrap();
    let file = Weights::open_file(&dir.path().join("adapter_model.safetensors")).unwrap();
    let tensor = |name: &str| (file.dtype(name).unwrap(), file.shape(name).unwrap().to_vec());
    assert_eq!(tensor(&q("A.weight")), (Dtype::F32, vec![2, 4]));
    assert_eq!(tensor(&q("B.weight")), (Dtype::F32, vec![4, 2]));
    assert_eq!(tensor(&q("spa.values")), (Dtype::F32, vec![4]));
    assert_eq!(tensor(&q("spa.row_offs")), (Dtype::I32, vec![5]));
    assert_eq!(tensor(&q("spa.row_idx")), (Dtype::I16, vec![4]));
    assert_eq!(tensor(&q("spa.col_idx")), (Dtype::I16, vec![4]));
    assert_eq!(file.indices(&q("spa.row_idx")).unwrap(), [2, 1, 3, 0]);
    let up = format!("base_model.model.{UP}.rosa_spa");
    assert_eq!(tensor(&format!("{up}.row_idx")), (Dtype::U32, vec![40_000]));
    assert_eq!(tensor(&format!("{up}.col_idx")), (Dtype::I16, vec![2]));
    let embedding = format!("base_model.model.{EMBEDDING}.rosa_embedding");
    assert_eq!(tensor(&format!("{embedding}_A")), (Dtype::F32, vec![2, 9]));
    assert_eq!(tensor(&format!("{embedding}_B")), (Dtype::F32, vec![4, 2]));

    let config = json_of(dir.path());
    assert_eq!((&config["peft_type"], &config["d"]), (&json!("ROSA"), &json!(0.25)));
    // The reference makes room for ⌊density·size⌋ values and finds all three numbers under one key.
    let number = |pattern: &str, key: &str| config[pattern][key].as_f64().unwrap();
    for (key, size, rank, alpha) in
        [(r"layers\.0\.mlp\.up_proj", 160_000.0, 1.0, 3.0), ("embed_tokens", 36.0, 2.0, 16.0)]
    {
        assert_eq!((number("density_pattern", key) * size).floor(), 2.0);
        assert_eq!((number("rank_pattern", key), number("alpha_pattern", key)), (rank, alpha));
    }
    assert_eq!(config["density_pattern"].as_object().unwrap().len(), 2);
}

#[test]
fn adapters_read_back() {
    let dir = temp_dir();
    for mut adapter in [rosa(), lora()] {
        adapter.write(dir.path()).unwrap();
        for base in [None, Some(&base())] {
            let read = AdapterFile::read(dir.path(), base).unwrap();
            for module in adapter.modules.keys() {
                assert_eq!(read.config.scale(module), adapter.config.scale(module));
            }
            if adapter.config.method == Method::Rosa {
                adapter.config.rank_pattern = read.config.rank_pattern.clone();
                adapter.config.alpha_pattern = read.config.alpha_pattern.clone();
                adapter.config.density_pattern = read.config.density_pattern.clone();
            }
            assert!(read == adapter);
        }
    }
}

#[test]
fn lora_adapters_have_the_names_of_peft() {
    let dir = temp_dir();
    lora().write(dir.path()).unwrap();
    let file = Weights::open_file(&dir.path().join("adapter_model.safetensors")).unwrap();
    let names: Vec<_> =
        file.names().map(|name| name.strip_prefix("base_model.model.model.").unwrap()).collect();
    let linear = |module: &str, letter| format!("layers.0.{module}.lora_{letter}.weight");
    assert_eq!(names[..2], ["embed_tokens.lora_embedding_A", "embed_tokens.lora_embedding_B"]);
    assert_eq!(names[2..4], [linear("mlp.up_proj", 'A'), linear("mlp.up_proj", 'B')]);
    assert_eq!(names[4..], [linear("self_attn.q_proj", 'A'), linear("self_attn.q_proj", 'B')]);
    let config = json_of(dir.path());
    assert_eq!((&config["peft_type"], &config["rank_pattern"]), (&json!("LORA"), &json!({ "up_proj": 1 })));
    assert_eq!(config.get("d"), None);
}

#[test]
fn scales_follow_the_patterns() {
    let mut config = config(Method::Lora);
    assert_eq!((config.scale(Q), config.scale(UP)), (8.0, 3.0));
    config.rslora = true;
    assert_eq!(config.scale(Q), 16.0 / 2_f32.sqrt());
    config.rank = 0;
    assert_eq!(config.scale(Q), 1.0);
}

#[test]
fn adapters_of_the_reference_are_read_in_all_of_its_types() {
    let dir = temp_dir();
    let (a, b, values) = ([0.5_f32, -1.25, 3.0, 0.0, 1.0, 2.0, 4.0, 8.0], [0.25_f32; 8], [1.5_f32, -0.75]);
    write_tensors(
        dir.path(),
        vec![
            TensorSource::owned(q("A.weight"), &[2, 4], a.map(bf16::from_f32).to_vec()),
            TensorSource::owned(q("B.weight"), &[4, 2], b.map(f16::from_f32).to_vec()),
            TensorSource::owned(q("spa.values"), &[2], values.map(bf16::from_f32).to_vec()),
            TensorSource::slice(q("spa.row_offs"), &[5], &[0_i32, 1, 1, 1, 2]),
            TensorSource::slice(q("spa.row_idx"), &[4], &[0_i16, 3, 1, 2]),
            TensorSource::slice(q("spa.col_idx"), &[2], &[3_i16, 0]),
            TensorSource::slice(q("spa.tr_perm"), &[2], &[1_i32, 0]),
        ],
    );
    let adapter = AdapterFile::read(dir.path(), None).unwrap();
    assert_eq!((adapter.config.method, adapter.config.density), (Method::Rosa, 0.003));
    let module = &adapter.modules[Q];
    assert_eq!(module.low_rank, Some(LowRank { rank: 2, a: a.to_vec(), b: b.to_vec() }));
    let part = SparsePart {
        cols: 4,
        row_offsets: vec![0, 1, 1, 1, 2],
        col_indices: vec![3, 0],
        values: values.to_vec(),
    };
    assert_eq!(module.sparse, Some(part));
}

/// The four tensors of a sparse part without a low-rank one, with 5 offsets and one entry at `column` of row 0.
fn sparse_only<'a>(offsets: &'a [i32; 5], column: &'a [i16; 1]) -> Vec<TensorSource<'a>> {
    vec![
        TensorSource::slice(q("spa.values"), &[1], &[0.0_f32]),
        TensorSource::slice(q("spa.row_offs"), &[5], offsets),
        TensorSource::slice(q("spa.col_idx"), &[1], column),
    ]
}

#[test]
fn a_sparse_part_alone_takes_its_width_from_the_model() {
    let dir = temp_dir();
    write_tensors(dir.path(), sparse_only(&[0, 1, 1, 1, 1], &[3]));
    assert_says(AdapterFile::read(dir.path(), None), &[Q, "number of columns", "base model"]);
    let adapter = AdapterFile::read(dir.path(), Some(&base())).unwrap();
    assert_eq!(adapter.modules[Q].sparse.as_ref().map(|sparse| sparse.cols), Some(4));
    write_tensors(dir.path(), sparse_only(&[0; 5], &[0]));
    let unmade = AdapterFile::read(dir.path(), Some(&base())).unwrap();
    assert_eq!(unmade.modules[Q].sparse, None);
}

#[test]
fn a_bad_adapter_is_named_with_its_module() {
    let dir = temp_dir();
    let read = || AdapterFile::read(dir.path(), Some(&base()));
    assert_says(read(), &["adapter_config.json", "cannot read"]);
    write_json(dir.path(), "adapter_config.json", &json!({ "peft_type": "LOHA", "r": 2 }));
    assert_says(read(), &["adapter_config.json", "peft_type", "LOHA", "ROSA or LORA"]);
    write_json(dir.path(), "adapter_config.json", &json!({ "peft_type": "LORA" }));
    assert_says(read(), &["adapter_config.json", "r", "nothing"]);
    for (key, value) in [
        ("use_dora", json!(true)),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("rank_pattern", json!({ "q": "x" })),
    ] {
        write_json(dir.path(), "adapter_config.json", &json!({ "peft_type": "LORA", "r": 2, key: value }));
        assert_says(read(), &["adapter_config.json", key]);
    }

    write_tensors(dir.path(), sparse_only(&[0, 1, 1, 1, 1], &[-5]));
    assert_says(read(), &["adapter_model.safetensors", &q("spa.col_idx"), "-5", "0 or more"]);
    write_tensors(dir.path(), sparse_only(&[0, 1, 1, 1, 1], &[4]));
    assert_says(read(), &["adapter_model.safetensors", Q, "columns are below cols", "found 4"]);
    write_tensors(dir.path(), sparse_only(&[0, 1, 0, 1, 1], &[0]));
    assert_says(read(), &[Q, "offsets never fall"]);
    write_tensors(dir.path(), vec![TensorSource::slice(q("A.weight"), &[1, 4], &[0.0_f32; 4])]);
    assert_says(read(), &[&q("B.weight"), "no such tensor"]);
    let parts = |rank: usize, input: usize| {
        vec![
            TensorSource::owned(q("A.weight"), &[rank, input], vec![0.0_f32; rank * input]),
            TensorSource::owned(q("B.weight"), &[4, rank], vec![0.0_f32; 4 * rank]),
        ]
    };
    write_tensors(dir.path(), parts(1, 4));
    assert_says(read(), &[Q, "rank 1", "rank 2"]);
    write_tensors(dir.path(), parts(2, 5));
    assert_says(read(), &[&q("A.weight"), "shape [2, 5]", "shape [2, 4]"]);
    write_tensors(dir.path(), vec![TensorSource::slice("base_model.model.lm_head.weight", &[1], &[0.0_f32])]);
    assert_says(read(), &["lm_head.weight", "low-rank and sparse parts"]);
    let elsewhere = "base_model.model.model.layers.7.mlp.up_proj.rosa_A.weight";
    write_tensors(dir.path(), vec![TensorSource::slice(elsewhere, &[1, 4], &[0.0_f32; 4])]);
    assert_says(read(), &["model.layers.7.mlp.up_proj", "no such module in the model"]);
}

#[test]
fn parts_that_do_not_fit_are_not_written() {
    let dir = temp_dir();
    let broken = |change: fn(&mut ModuleAdapter), words: &[&str]| {
        let mut adapter = rosa();
        change(adapter.modules.get_mut(Q).unwrap());
        assert_says(adapter.write(dir.path()), words);
    };
    broken(|q| q.low_rank.as_mut().unwrap().rank = 3, &[Q, "A", "8 elements", "12 elements"]);
    broken(|q| q.sparse.as_mut().unwrap().values.push(0.0), &[Q, "values", "5 elements", "4 elements"]);
    broken(|q| q.sparse.as_mut().unwrap().cols = 5, &[Q, "columns"]);
    broken(|q| q.sparse.as_mut().unwrap().col_indices[2] = 0, &[Q, "columns rise strictly"]);
    let mixed = AdapterFile { config: config(Method::Lora), ..rosa() };
    assert_says(mixed.write(dir.path()), &["a sparse part", "LORA"]);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}
