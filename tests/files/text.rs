use super::{assert_says, shared, temp_dir, write, write_json, write_tokenizer};
use rosa_kernels::text::{Ending, Message, Text};
use serde_json::{Value, json};

pub(super) fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: content.to_owned() }
}

fn text_with_chat(template: &Value) -> Text {
    let dir = temp_dir();
    write_tokenizer(dir.path(), &["a"]);
    let config = json!({ "bos_token": "<s>", "eos_token": "</s>", "chat_template": template });
    write_json(dir.path(), "tokenizer_config.json", &config);
    Text::open(dir.path()).unwrap()
}

#[test]
fn text_becomes_tokens_and_back() {
    let dir = temp_dir();
    write_tokenizer(dir.path(), &["to", " be", " or", " not"]);
    let text = Text::open(dir.path()).unwrap();
    assert_eq!(text.encode("to be or not").unwrap(), [1, 4, 5, 6, 7]);
    assert_eq!(text.encode_bare("to be</s>").unwrap(), [4, 5, 2]);
    assert_eq!(text.decode(&[1, 4, 5, 2]).unwrap(), "to be");
    assert_eq!((text.eos().unwrap(), text.eos_ids()), (2, &[2][..]));
    assert!(!text.has_chat_template());
}

#[test]
fn generation_stops_at_every_end() {
    let dir = temp_dir();
    write_tokenizer(dir.path(), &["a"]);
    write_json(dir.path(), "config.json", &json!({ "eos_token_id": 2 }));
    write_json(dir.path(), "generation_config.json", &json!({ "eos_token_id": [3] }));
    let text = Text::open(dir.path()).unwrap();
    assert_eq!((text.eos().unwrap(), text.eos_ids()), (2, &[3, 2][..]));

    write_json(dir.path(), "tokenizer_config.json", &json!({}));
    write_json(dir.path(), "special_tokens_map.json", &json!({ "eos_token": "<|im_end|>" }));
    assert_eq!(Text::open(dir.path()).unwrap().eos().unwrap(), 3);
}

#[test]
fn a_real_tokenizer_round_trips() {
    let Some(dir) = shared("models/stories260k") else { return };
    let text = Text::open(&dir).unwrap();
    let tokens = text.encode("Once upon a time").unwrap();
    assert_eq!((tokens[0], text.eos_ids()), (1, &[2][..]));
    assert_eq!(text.decode(&tokens).unwrap(), "Once upon a time");
    assert_eq!(text.encode_bare("Once upon a time").unwrap(), tokens[1..]);
    text.check_fits(512).unwrap();
    assert_says(text.check_fits(511), &["tokenizer.json", "id 511", "vocab_size of 511"]);
}

/// The expected texts are what transformers 5.23 renders, but for the date.
#[test]
fn chat_templates_render_as_in_transformers() {
    let chatml = "{% for message in messages %}\n    {{- '<|im_start|>' + message['role'].strip() + '\\n' + \
        message.content + eos_token + '\\n' }}\n{% endfor %}\n{% if add_generation_prompt %}\n\
        {{ '<|im_start|>assistant\\n' }}\n{%- endif %}\n";
    let text = text_with_chat(&json!(chatml));
    let turns = [message("user ", "hi")];
    assert_eq!(text.render(&turns, Ending::Closed).unwrap(), "<|im_start|>user\nhi</s>\n\n");
    let open = text.render(&turns, Ending::AssistantToSpeak).unwrap();
    assert_eq!(open, "<|im_start|>user\nhi</s>\n\n<|im_start|>assistant\n");

    let named = json!([{ "name": "tools", "template": "no" }, { "name": "default", "template": "{{ bos_token }}yes" }]);
    assert_eq!(text_with_chat(&named).render(&turns, Ending::Closed).unwrap(), "<s>yes");
    let functions = "{{ messages[0] | tojson }} {{ [1, '<&>'] | tojson(indent=2) }} {{ strftime_now('%d %b %Y') }}\
        {% for m in messages %}{%- generation -%} x {%- endgeneration %}{% break %}{% endfor %}";
    let rendered = text_with_chat(&json!(functions)).render(&turns, Ending::Closed).unwrap();
    assert_eq!(rendered, "{\"role\": \"user \", \"content\": \"hi\"} [\n  1,\n  \"<&>\"\n] 26 Jul 2024x");
}

#[test]
fn a_template_file_wins_over_the_config() {
    let dir = temp_dir();
    write_tokenizer(dir.path(), &["a"]);
    write_json(
        dir.path(),
        "tokenizer_config.json",
        &json!({ "eos_token": "</s>", "chat_template": "config" }),
    );
    write(dir.path(), "chat_template.jinja", "file");
    assert_eq!(Text::open(dir.path()).unwrap().render(&[], Ending::Closed).unwrap(), "file");
}

#[test]
fn a_bad_tokenizer_is_named() {
    let dir = temp_dir();
    let open = || Text::open(dir.path()).map(drop);
    assert_says(open(), &["tokenizer.json", "cannot read"]);
    write(dir.path(), "tokenizer.json", "{}");
    assert_says(open(), &["tokenizer.json", "expected a tokenizer"]);
    write_tokenizer(dir.path(), &["a"]);
    let text = Text::open(dir.path()).unwrap();
    text.check_fits(5).unwrap();
    assert_says(text.check_fits(4), &["tokenizer.json", "\"a\"", "id 4", "vocab_size of 4"]);
    assert_says(text.render(&[], Ending::Closed), &["chat template", "none"]);

    write_json(dir.path(), "tokenizer_config.json", &json!({ "eos_token": 7 }));
    assert_says(open(), &["tokenizer_config.json", "eos_token", "a token"]);
    write_json(dir.path(), "tokenizer_config.json", &json!({}));
    assert_says(Text::open(dir.path()).unwrap().eos(), &["eos_token", "none"]);
    write_json(dir.path(), "tokenizer_config.json", &json!({ "chat_template": "{% if %}" }));
    assert_says(open(), &["tokenizer_config.json", "chat template", "syntax error"]);
    let refuses = text_with_chat(&json!("{{ raise_exception('roles must alternate') }}"));
    assert_says(refuses.render(&[], Ending::Closed), &["chat template", "roles must alternate"]);
}
