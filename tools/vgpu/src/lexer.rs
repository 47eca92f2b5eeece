//! PTX text to tokens.

use crate::error::Error;

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Token {
    /// An opcode, a directive, a register, a label or another name: `ld.global.f32`, `.reg`, `%r1`, `$L1`.
    Word(String),
    /// An integer, two's complement.
    Int(u64),
    F32(u32),
    F64(u64),
    Text(String),
    Punct(char),
}

#[derive(Clone, Debug)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    pub(crate) line: u32,
}

/// # Errors
/// [`Error::Parse`] at a character or a number that is not PTX.
pub(crate) fn tokens(text: &str) -> Result<Vec<Spanned>, Error> {
    let bytes = text.as_bytes();
    let (mut at, mut line) = (0, 1);
    let mut out = Vec::new();
    while at < bytes.len() {
        let rest = &bytes[at..];
        let c = rest[0];
        if c == b'\n' {
            line += 1;
            at += 1;
        } else if c.is_ascii_whitespace() || c == 0 {
            at += 1;
        } else if rest.starts_with(b"//") {
            at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        } else if rest.starts_with(b"/*") {
            let end = text[at..].find("*/").ok_or_else(|| Error::parse(line, "a comment without end"))?;
            line += newlines(&rest[..end]);
            at += end + 2;
        } else if c == b'"' {
            let end = text[at + 1..].find('"').ok_or_else(|| Error::parse(line, "a string without end"))?;
            let string = &text[at + 1..at + 1 + end];
            out.push(Spanned { token: Token::Text(string.to_owned()), line });
            line += newlines(string.as_bytes());
            at += end + 2;
        } else if is_word(c) {
            let length = word_length(rest);
            let word = &text[at..at + length];
            let token = if c.is_ascii_digit() { number(word, line)? } else { Token::Word(word.to_owned()) };
            out.push(Spanned { token, line });
            at += length;
        } else if b"{}[](),;:+-|@!=<>".contains(&c) {
            out.push(Spanned { token: Token::Punct(char::from(c)), line });
            at += 1;
        } else {
            return Err(Error::parse(line, format!("unexpected character {:?}", char::from(c))));
        }
    }
    Ok(out)
}

fn newlines(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|&&b| b == b'\n').count() as u32
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"_$%.".contains(&c)
}

/// The length of the word at the start of `bytes`; a double colon belongs to it (`L1::no_allocate`).
fn word_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while length < bytes.len() {
        if is_word(bytes[length]) {
            length += 1;
        } else if bytes[length..].starts_with(b"::") {
            length += 2;
        } else {
            break;
        }
    }
    length
}

fn number(word: &str, line: u32) -> Result<Token, Error> {
    let bad = || Error::parse(line, format!("not a number: {word}"));
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok();
    let lower = word.to_ascii_lowercase();
    let token = if let Some(hex) = lower.strip_prefix("0f").filter(|hex| hex.len() == 8) {
        u32::from_str_radix(hex, 16).ok().map(Token::F32)
    } else if let Some(hex) = lower.strip_prefix("0d").filter(|hex| hex.len() == 16) {
        radix(hex, 16).map(Token::F64)
    } else if lower.contains('.') {
        lower.parse::<f64>().ok().map(|x| Token::F64(x.to_bits()))
    } else {
        let digits = lower.strip_suffix('u').unwrap_or(&lower);
        let value = match digits.get(..2) {
            Some("0x") => radix(&digits[2..], 16),
            Some("0b") => radix(&digits[2..], 2),
            _ if digits.len() > 1 && digits.starts_with('0') => radix(&digits[1..], 8),
            _ => digits.parse().ok(),
        };
        value.map(Token::Int)
    };
    token.ok_or_else(bad)
}
