use super::{assert_says, shared, temp_dir, write, write_json};
use rosa_kernels::{
    architecture::{Architecture, RopeScaling},
    error::Result,
};
use serde_json::{Value, json};

/// A small config of the given family with `changes` made to it; a null removes the field.
fn config(model_type: &str, changes: &Value) -> Value {
    let mut config = json!({
        "model_type": model_type, "vocab_size": 50, "hidden_size": 256, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2,
    });
    for (key, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(config.as_object_mut().expect("an object").remove(key)),
            value => config[key] = value.clone(),
        }
    }
    config
}

fn read(config: &Value) -> Result<Architecture> {
    let dir = temp_dir();
    write_json(dir.path(), "config.json", config);
    Architecture::read(dir.path())
}

#[test]
fn absent_fields_have_the_defaults_of_transformers() {
    let llama = read(&config("llama", &json!({ "num_key_value_heads": null }))).unwrap();
    assert_eq!((llama.kv_heads, llama.head_dim), (8, 32));
    assert_eq!((llama.rms_norm_eps, llama.rope_theta), (1e-6, 1e4));
    assert_eq!(llama.rope_scaling, RopeScaling::None);
    assert!(!llama.tie_word_embeddings && !llama.qkv_bias && !llama.o_bias && !llama.mlp_bias);
    assert_eq!((llama.sliding_window, llama.bos_token_id, llama.eos_token_ids), (None, None, vec![]));

    let mistral = read(&config("mistral", &json!({}))).unwrap();
    assert_eq!(mistral.sliding_window, Some(4096));
    let mut full = config("mistral", &json!({}));
    full["sliding_window"] = Value::Null;
    assert_eq!(read(&full).unwrap().sliding_window, None);

    let qwen = read(&config("qwen2", &json!({ "sliding_window": 32768 }))).unwrap();
    assert_eq!((qwen.qkv_bias, qwen.o_bias, qwen.sliding_window), (true, false, None));
    let sliding = json!({ "use_sliding_window": true, "sliding_window": 16, "max_window_layers": 0 });
    assert_eq!(read(&config("qwen2", &sliding)).unwrap().sliding_window, Some(16));
}

#[test]
fn rope_parameters_are_found_in_every_place_that_transformers_has_used() {
    let linear = RopeScaling::Linear { factor: 4.0 };
    for place in [
        json!({ "rope_theta": 5e5, "rope_scaling": { "type": "linear", "factor": 4.0 } }),
        json!({ "rope_theta": 5e5, "rope_scaling": { "rope_type": "linear", "factor": 4.0 } }),
        json!({ "rope_parameters": { "rope_type": "linear", "factor": 4.0, "rope_theta": 5e5 } }),
    ] {
        let architecture = read(&config("llama", &place)).unwrap();
        assert_eq!((architecture.rope_theta, architecture.rope_scaling), (5e5, linear));
    }
    let plain = json!({ "rope_parameters": { "rope_type": "default", "rope_theta": 5e5 } });
    let plain = read(&config("llama", &plain)).unwrap();
    assert_eq!((plain.rope_theta, plain.rope_scaling), (5e5, RopeScaling::None));
}

/// The numbers that transformers 5.23 printed for `LlamaRotaryEmbedding(config).inv_freq`, computed there in f32:
/// its power, product and quotients are each off by an ulp at most, so eight half-ulps bound the difference.
#[test]
fn rotary_frequencies_are_those_of_transformers() {
    let llama3 = json!({ "rope_theta": 5e5, "rope_scaling": {
        "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192 } });
    let linear = json!({ "rope_scaling": { "rope_type": "linear", "factor": 2.5 } });
    let cases: [(Value, [f64; 16]); 3] = [
        (
            llama3,
            [
                1.0,
                0.440366626,
                0.193922758,
                0.0853971019,
                0.0376060307,
                0.0165604409,
                0.00729266508,
                0.00321144611,
                0.000429556705,
                1.94616387e-05,
                8.57025589e-06,
                3.77405445e-06,
                1.66196742e-06,
                7.31874934e-07,
                3.22293289e-07,
                1.41927202e-07,
            ],
        ),
        (
            linear,
            [
                0.400000006,
                0.22493653,
                0.1264911,
                0.0711311772,
                0.0399999991,
                0.0224936511,
                0.0126491114,
                0.00711311772,
                0.00399999972,
                0.00224936521,
                0.00126491114,
                0.000711311761,
                0.000400000019,
                0.000224936521,
                0.000126491112,
                7.11311732e-05,
            ],
        ),
        (
            json!({}),
            [
                1.0,
                0.562341332,
                0.316227764,
                0.177827939,
                0.100000001,
                0.0562341288,
                0.0316227786,
                0.0177827943,
                0.00999999978,
                0.00562341325,
                0.00316227786,
                0.00177827943,
                0.00100000005,
                0.000562341302,
                0.000316227786,
                0.00017782794,
            ],
        ),
    ];
    for (changes, want) in cases {
        let got = read(&config("llama", &changes)).unwrap().rope_inverse_frequencies();
        assert_eq!(got.len(), want.len());
        for (got, want) in got.into_iter().zip(want) {
            assert!(
                (f64::from(got) - want).abs() <= 4.0 * f64::from(f32::EPSILON) * want,
                "{changes}: {got} and {want}"
            );
        }
    }
}

#[test]
fn the_tensors_are_those_of_a_real_checkpoint() {
    let Some(dir) = shared("models/stories260k") else { return };
    let architecture = Architecture::read(&dir).unwrap();
    let weights = rosa_kernels::checkpoint::Weights::open(&dir).unwrap();
    let mut tensors = architecture.tensors();
    for (name, shape) in &tensors {
        assert_eq!(weights.f32(name, shape).unwrap().len(), shape.iter().product::<usize>());
    }
    tensors.sort();
    assert!(weights.names().eq(tensors.iter().map(|(name, _)| name.as_str())));
    assert_eq!((architecture.bos_token_id, &architecture.eos_token_ids[..]), (Some(1), &[2][..]));
}

#[test]
fn linears_modules_and_biases_agree() {
    let biased = json!({ "attention_bias": true, "mlp_bias": true, "head_dim": 16 });
    let architecture = read(&config("llama", &biased)).unwrap();
    let linears = architecture.linears();
    let names: Vec<_> = linears[7..].iter().map(|spec| spec.path.as_str()).collect();
    let want =
        ["q_proj", "k_proj", "v_proj", "o_proj"].map(|name| format!("model.layers.1.self_attn.{name}"));
    assert_eq!(names[..4], want);
    assert_eq!(names[4..], ["gate", "up", "down"].map(|name| format!("model.layers.1.mlp.{name}_proj")));
    let tensors = architecture.tensors();
    for spec in &linears {
        assert_eq!(architecture.module(&spec.path).as_ref(), Some(spec));
        assert!(
            tensors.contains(&(format!("{}.weight", spec.path), vec![spec.out_features, spec.in_features]))
        );
        assert!(tensors.contains(&(format!("{}.bias", spec.path), vec![spec.out_features])));
    }
    assert_eq!((linears[0].out_features, linears[1].out_features, linears[3].in_features), (128, 32, 128));
    let embedding = architecture.module("model.embed_tokens").unwrap();
    assert_eq!((embedding.out_features, embedding.in_features), (256, 50));
    for absent in ["model.layers.2.mlp.up_proj", "model.layers.01.mlp.up_proj", "mlp.up_proj", "model.norm"] {
        assert_eq!(architecture.module(absent), None);
    }
}

#[test]
fn a_written_config_reads_back() {
    let llama3 = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192 });
    for source in [
        config("llama", &json!({ "rope_scaling": llama3, "attention_bias": true, "eos_token_id": [2, 7] })),
        config("llama", &json!({ "tie_word_embeddings": true, "rms_norm_eps": 1e-5, "eos_token_id": 2 })),
        config(
            "mistral",
            &json!({ "sliding_window": 128, "rope_scaling": { "type": "linear", "factor": 2 } }),
        ),
        config("qwen2", &json!({ "use_sliding_window": true, "sliding_window": 64, "max_window_layers": 0 })),
        config("qwen2", &json!({ "bos_token_id": 3 })),
    ] {
        let architecture = read(&source).unwrap();
        let written = architecture.to_config_json();
        assert_eq!(read(&written).unwrap(), architecture);
        assert!(source.get("rms_norm_eps").is_none_or(|eps| *eps == written["rms_norm_eps"]));
    }
}

#[test]
fn generation_config_wins() {
    let dir = temp_dir();
    let ids = json!({ "eos_token_id": 2, "bos_token_id": 1 });
    write_json(dir.path(), "config.json", &config("llama", &ids));
    write_json(dir.path(), "generation_config.json", &json!({ "eos_token_id": [5, 6] }));
    let architecture = Architecture::read(dir.path()).unwrap();
    assert_eq!((architecture.bos_token_id, architecture.eos_token_ids), (Some(1), vec![5, 6]));
}

#[test]
fn a_bad_config_is_named_with_its_field() {
    let bad = |changes: Value, words: &[&str]| assert_says(read(&config("llama", &changes)), words);
    bad(json!({ "model_type": "gemma3" }), &["config.json", "model_type", "gemma3", "llama, mistral, qwen2"]);
    bad(json!({ "hidden_size": null }), &["config.json", "hidden_size", "nothing"]);
    bad(json!({ "hidden_size": "wide" }), &["config.json", "hidden_size", "wide", "expected"]);
    bad(json!({ "vocab_size": 0 }), &["vocab_size", "0", "at least 1"]);
    bad(json!({ "hidden_act": "gelu" }), &["hidden_act", "gelu", "silu"]);
    bad(json!({ "num_key_value_heads": 3 }), &["num_key_value_heads", "3", "8 heads"]);
    bad(json!({ "hidden_size": 255 }), &["hidden_size", "255", "8 heads"]);
    bad(json!({ "head_dim": 7 }), &["head_dim", "7", "even"]);
    bad(json!({ "rope_scaling": { "type": "yarn", "factor": 4 } }), &["rope_scaling.type", "yarn", "llama3"]);
    bad(json!({ "rope_scaling": { "rope_type": "linear" } }), &["rope_scaling.factor", "nothing"]);
    bad(json!({ "partial_rotary_factor": 0.5 }), &["partial_rotary_factor", "0.5"]);

    let dir = temp_dir();
    assert_says(Architecture::read(dir.path()), &["config.json", "cannot read"]);
    write(dir.path(), "config.json", "{\"model_type\": ");
    assert_says(Architecture::read(dir.path()), &["config.json", "line 1", "JSON"]);
}
