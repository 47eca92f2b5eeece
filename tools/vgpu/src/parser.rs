//! Tokens to a [`Module`].

use crate::error::Error;
use crate::lexer::{Spanned, Token, tokens};
use crate::module::{Function, Initial, Item, Module, Operand, Raw, Statement, Variable};
use crate::types::{Space, Type};

pub(crate) fn parse(text: &str) -> Result<Module, Error> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let mut module = Module { text: text.to_owned(), ..Module::default() };
    while parser.at < parser.tokens.len() {
        parser.top_level(&mut module)?;
    }
    Ok(module)
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|spanned| &spanned.token)
    }

    fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |spanned| spanned.line)
    }

    fn fail<T>(&self, expected: &str) -> Result<T, Error> {
        let found = match self.peek() {
            None => "the end of the text".to_owned(),
            Some(Token::Word(word)) => word.clone(),
            Some(Token::Punct(c)) => c.to_string(),
            Some(Token::Text(text)) => format!("{text:?}"),
            Some(Token::Int(_) | Token::F32(_) | Token::F64(_)) => "a number".to_owned(),
        };
        Err(Error::parse(self.line(), format!("expected {expected}, found {found}")))
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(&Token::Punct(c));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, c: char) -> Result<(), Error> {
        if self.eat(c) { Ok(()) } else { self.fail(&format!("{c:?}")) }
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w == word);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, what: &str) -> Result<String, Error> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            _ => self.fail(what),
        }
    }

    fn int(&mut self, what: &str) -> Result<i64, Error> {
        let negative = self.eat('-');
        match self.peek() {
            Some(&Token::Int(value)) => {
                self.at += 1;
                let value = value as i64;
                Ok(if negative { value.wrapping_neg() } else { value })
            }
            _ => self.fail(what),
        }
    }

    fn size(&mut self, what: &str) -> Result<usize, Error> {
        let line = self.line();
        usize::try_from(self.int(what)?)
            .map_err(|_| Error::parse(line, format!("{what} must not be negative")))
    }

    /// Skips to the end of the line that the next token stands on.
    fn skip_line(&mut self) {
        let line = self.line();
        while self.tokens.get(self.at).is_some_and(|spanned| spanned.line == line) {
            self.at += 1;
        }
    }

    fn top_level(&mut self, module: &mut Module) -> Result<(), Error> {
        let line = self.line();
        match self.word("a directive")?.as_str() {
            ".version" | ".file" | ".loc" => {
                self.at -= 1;
                self.skip_line();
            }
            ".target" => {
                module.target = self.word("a target")?;
                self.at -= 1;
                self.skip_line();
            }
            ".address_size" => {
                if self.int("an address size")? != 64 {
                    return Err(Error::parse(line, "only 64-bit addresses are supported"));
                }
            }
            ".section" => {
                while !self.eat('}') {
                    if self.peek().is_none() {
                        return self.fail("the end of the section");
                    }
                    self.at += 1;
                }
            }
            ".visible" | ".extern" | ".weak" | ".common" => {}
            ".entry" => module.functions.push(self.function(true)?),
            ".func" => module.functions.push(self.function(false)?),
            ".pragma" => {
                self.skip_statement();
            }
            directive => match directive.strip_prefix('.').and_then(Space::parse) {
                Some(_) if self.at_opaque() => self.skip_statement(),
                Some(space) => {
                    let variable = self.variable(space)?;
                    self.expect(';')?;
                    module.variables.push(variable);
                }
                None => return Err(Error::parse(line, format!("unknown directive {directive}"))),
            },
        }
        Ok(())
    }

    /// Whether a texture, sampler or surface is declared here: its name stays unknown to the kernels.
    fn at_opaque(&self) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if [".texref", ".samplerref", ".surfref"].contains(&word.as_str()))
    }

    fn skip_statement(&mut self) {
        while self.peek().is_some() && !self.eat(';') {
            self.at += 1;
        }
    }

    fn function(&mut self, is_kernel: bool) -> Result<Function, Error> {
        let results = if is_kernel { Vec::new() } else { self.params()? };
        let line = self.line();
        let name = self.word("a function name")?;
        let params = self.params()?;
        let (mut max_threads, mut unsupported) = (None, None);
        while let Some(Token::Word(directive)) = self.peek() {
            let directive = directive.clone();
            self.at += 1;
            match directive.as_str() {
                ".maxntid" | ".reqntid" => {
                    let mut product = 1_u64;
                    loop {
                        product = product.saturating_mul(self.size("a thread count")? as u64);
                        if !self.eat(',') {
                            break;
                        }
                    }
                    max_threads = u32::try_from(product).ok();
                }
                ".minnctapersm" | ".maxnreg" | ".maxnctapersm" => {
                    self.int("a count")?;
                }
                ".noreturn" => {}
                ".pragma" => self.skip_statement(),
                _ if directive.starts_with('.') => {
                    // Of a cluster of blocks, say; what follows are numbers.
                    while matches!(self.peek(), Some(Token::Int(_) | Token::Punct(','))) {
                        self.at += 1;
                    }
                    unsupported.get_or_insert(directive);
                }
                _ => {
                    self.at -= 1;
                    return self.fail("a directive or the function's body");
                }
            }
        }
        let body = if self.eat(';') { None } else { Some(self.body()?) };
        Ok(Function { name, is_kernel, results, params, max_threads, unsupported, body, line })
    }

    fn params(&mut self) -> Result<Vec<Variable>, Error> {
        let mut params = Vec::new();
        if self.eat('(') && !self.eat(')') {
            loop {
                match self.word("a parameter")?.as_str() {
                    ".param" => params.push(self.variable(Space::Param)?),
                    other => {
                        return Err(Error::parse(self.line(), format!("unsupported parameter {other}")));
                    }
                }
                if !self.eat(',') {
                    break;
                }
            }
            self.expect(')')?;
        }
        Ok(params)
    }

    /// What follows the space: `.align 4 .b8 name[16] = {…}`.
    fn variable(&mut self, space: Space) -> Result<Variable, Error> {
        let line = self.line();
        let mut align = None;
        let mut vector = 1;
        let ty = loop {
            let word = self.word("a type")?;
            match word.as_str() {
                ".align" => align = Some(self.size("an alignment")?),
                ".v2" => vector = 2,
                ".v4" => vector = 4,
                // `.managed`: memory that the host may touch too.
                ".attribute" => {
                    self.expect('(')?;
                    while !self.eat(')') {
                        self.word("an attribute")?;
                        self.eat(',');
                    }
                }
                _ => match word.strip_prefix('.').and_then(Type::parse) {
                    Some(ty) => break ty,
                    None => return Err(Error::parse(line, format!("unknown type {word}"))),
                },
            }
        };
        // nvcc may describe pointer parameters: `.param .u64 .ptr .global .align 4 name`.
        if self.eat_word(".ptr") {
            while matches!(self.peek(), Some(Token::Word(w)) if w.starts_with('.')) {
                if self.word("an attribute")? == ".align" {
                    self.size("an alignment")?;
                }
            }
        }
        let name = self.word("a variable name")?;
        let (mut count, mut dynamic) = (1, false);
        while self.eat('[') {
            if self.eat(']') {
                dynamic = true;
                count = 0;
            } else {
                count *= self.size("an array length")?;
                self.expect(']')?;
            }
        }
        let element = ty.bytes() * vector;
        let mut init = Vec::new();
        if self.eat('=') {
            self.initializer(ty, &mut init)?;
            if dynamic {
                (count, dynamic) = (init.len(), false);
            }
        }
        let align = align.unwrap_or(element.max(1));
        if !align.is_power_of_two() {
            return Err(Error::parse(line, format!("alignment {align} is no power of two")));
        }
        let bytes = count
            .checked_mul(element)
            .ok_or_else(|| Error::parse(line, format!("variable {name} is too large")))?;
        Ok(Variable { name, space, align, bytes, dynamic, init, line })
    }

    fn initializer(&mut self, ty: Type, out: &mut Vec<Initial>) -> Result<(), Error> {
        if self.eat('{') {
            while !self.eat('}') {
                self.initializer(ty, out)?;
                self.eat(',');
            }
            return Ok(());
        }
        let bits = match self.peek() {
            Some(&Token::F32(bits)) => {
                self.at += 1;
                u64::from(bits)
            }
            Some(&Token::F64(bits)) => {
                self.at += 1;
                if ty == Type::F32 { u64::from((f64::from_bits(bits) as f32).to_bits()) } else { bits }
            }
            Some(Token::Word(_)) => {
                let mut name = self.word("a variable name")?;
                if name == "generic" {
                    self.expect('(')?;
                    name = self.word("a variable name")?;
                    self.expect(')')?;
                }
                let offset = if self.eat('+') { self.int("an offset")? } else { 0 };
                out.push(Initial::Address { name, offset });
                return Ok(());
            }
            _ => self.int("a value")? as u64,
        };
        out.push(Initial::Bytes(bits.to_le_bytes()[..ty.bytes()].to_vec()));
        Ok(())
    }

    fn body(&mut self) -> Result<Vec<Item>, Error> {
        self.expect('{')?;
        let mut items = Vec::new();
        let mut depth = 1;
        while depth > 0 {
            let line = self.line();
            let mut push = |statement| items.push(Item { line, statement });
            if self.eat('{') {
                depth += 1;
                push(Statement::Open);
            } else if self.eat('}') {
                depth -= 1;
                if depth > 0 {
                    push(Statement::Close);
                }
            } else if !self.eat(';') {
                self.statement(&mut push)?;
            }
        }
        Ok(items)
    }

    fn statement(&mut self, push: &mut impl FnMut(Statement)) -> Result<(), Error> {
        if self.eat('@') {
            let negated = self.eat('!');
            let predicate = self.word("a predicate")?;
            let opcode = self.word("an instruction")?;
            push(self.instruction(Some((predicate, negated)), opcode)?);
            return Ok(());
        }
        let line = self.line();
        let word = self.word("a statement")?;
        match word.as_str() {
            ".loc" => {
                self.at -= 1;
                self.skip_line();
            }
            ".pragma" => self.skip_statement(),
            ".reg" => {
                let ty = self.word("a register type")?;
                let Some(ty) = ty.strip_prefix('.').and_then(Type::parse) else {
                    self.skip_statement();
                    push(Statement::Unsupported(format!("unsupported register type {ty}")));
                    return Ok(());
                };
                loop {
                    let name = self.word("a register name")?;
                    let count = if self.eat('<') {
                        let count = self.int("a register count")?;
                        self.expect('>')?;
                        let count = u32::try_from(count).ok().filter(|&count| count <= 1 << 20);
                        Some(count.ok_or_else(|| Error::parse(line, format!("too many registers {name}")))?)
                    } else {
                        None
                    };
                    push(Statement::Registers { ty, name, count });
                    if !self.eat(',') {
                        break;
                    }
                }
                self.expect(';')?;
            }
            ".branchtargets" => {
                let mut labels = Vec::new();
                while !self.eat(';') {
                    labels.push(self.word("a label")?);
                    self.eat(',');
                }
                push(Statement::Targets(labels));
            }
            // The call that they belong to is refused.
            ".callprototype" | ".calltargets" => self.skip_statement(),
            _ if word.starts_with('.') => {
                let Some(space) = Space::parse(&word[1..]) else {
                    self.skip_statement();
                    push(Statement::Unsupported(format!("unknown directive {word}")));
                    return Ok(());
                };
                push(Statement::Variable(self.variable(space)?));
                self.expect(';')?;
            }
            _ if self.eat(':') => push(Statement::Label(word)),
            _ => push(self.instruction(None, word)?),
        }
        Ok(())
    }

    fn instruction(&mut self, guard: Option<(String, bool)>, opcode: String) -> Result<Statement, Error> {
        let mut operands = Vec::new();
        if !self.eat(';') {
            loop {
                operands.push(self.operand()?);
                if !self.eat(',') {
                    break;
                }
            }
            self.expect(';')?;
        }
        Ok(Statement::Instruction(Raw { guard, opcode, operands }))
    }

    fn operand(&mut self) -> Result<Operand, Error> {
        if self.eat('{') {
            let mut elements = Vec::new();
            while !self.eat('}') {
                elements.push(self.operand()?);
                self.eat(',');
            }
            return Ok(Operand::Vector(elements));
        }
        if self.eat('[') {
            let base = match self.peek() {
                Some(Token::Word(_)) => Some(self.word("an address")?),
                _ => None,
            };
            let signed = self.eat('+') || base.is_none() || self.peek() == Some(&Token::Punct('-'));
            let offset = if signed { self.int("an offset")? } else { 0 };
            if self.eat(',') {
                while !self.eat(']') {
                    self.operand()?;
                    self.eat(',');
                }
                return Ok(Operand::Place);
            }
            self.expect(']')?;
            return Ok(Operand::Address { base, offset });
        }
        if self.eat('(') {
            let mut names = Vec::new();
            while !self.eat(')') {
                names.push(self.word("a parameter name")?);
                self.eat(',');
            }
            return Ok(Operand::Group(names));
        }
        if self.eat('!') {
            return Ok(Operand::Not(self.word("a predicate")?));
        }
        match self.peek() {
            Some(&Token::F32(bits)) => {
                self.at += 1;
                Ok(Operand::F32(bits))
            }
            Some(&Token::F64(bits)) => {
                self.at += 1;
                Ok(Operand::F64(bits))
            }
            Some(Token::Word(_)) => {
                let name = self.word("an operand")?;
                if self.eat('|') {
                    Ok(Operand::Pair(name, self.word("a second destination")?))
                } else if self.eat('+') {
                    Ok(Operand::Offset(name, self.int("an offset")?))
                } else {
                    Ok(Operand::Name(name))
                }
            }
            _ => Ok(Operand::Int(self.int("an operand")? as u64)),
        }
    }
}
