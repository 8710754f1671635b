//! Boolean functions as Liberty writes them: `!`, `'`, `*`, `&`, `+`, `|`, `^`, parentheses, `0`, `1`, and two names side by side
//! for AND (Liberty User Guide, `function` attribute).

use crate::Error;

/// A function of pins; a leaf is the pin's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Function {
    Constant(bool),
    Pin(String),
    Not(Box<Function>),
    And(Vec<Function>),
    Or(Vec<Function>),
    Xor(Box<Function>, Box<Function>),
}

impl Function {
    /// Reads a function.
    ///
    /// # Errors
    /// When the text is no function; the message says where.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parser = Parser {
            text,
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
        };
        let function = parser.or()?;
        match parser.peek() {
            None => Ok(function),
            Some(token) => Err(parser.fault(format!("'{token}' was not expected"))),
        }
    }

    /// The value for 64 patterns at once, one a bit.
    pub fn evaluate(&self, value: &impl Fn(&str) -> u64) -> u64 {
        match self {
            Self::Constant(constant) => {
                if *constant {
                    u64::MAX
                } else {
                    0
                }
            }
            Self::Pin(name) => value(name),
            Self::Not(inner) => !inner.evaluate(value),
            Self::And(terms) => terms
                .iter()
                .fold(u64::MAX, |result, term| result & term.evaluate(value)),
            Self::Or(terms) => terms
                .iter()
                .fold(0, |result, term| result | term.evaluate(value)),
            Self::Xor(left, right) => left.evaluate(value) ^ right.evaluate(value),
        }
    }

    /// The pins it names, each once, in order of their names.
    #[must_use]
    pub fn pins(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Constant(_) => {}
            Self::Pin(name) => found.push(name),
            Self::Not(inner) => inner.collect(found),
            Self::And(terms) | Self::Or(terms) => terms.iter().for_each(|term| term.collect(found)),
            Self::Xor(left, right) => {
                left.collect(found);
                right.collect(found);
            }
        }
    }

    /// As a Verilog expression over names that `name` gives for the pins.
    pub fn verilog(&self, name: &impl Fn(&str) -> String) -> String {
        let join = |terms: &[Self], operator: &str| {
            let parts: Vec<String> = terms.iter().map(|term| term.verilog(name)).collect();
            format!("({})", parts.join(operator))
        };
        match self {
            Self::Constant(constant) => format!("1'b{}", u8::from(*constant)),
            Self::Pin(pin) => name(pin),
            Self::Not(inner) => format!("~{}", inner.verilog(name)),
            Self::And(terms) => join(terms, " & "),
            Self::Or(terms) => join(terms, " | "),
            Self::Xor(left, right) => format!("({} ^ {})", left.verilog(name), right.verilog(name)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Symbol(char),
}

impl std::fmt::Display for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Symbol(symbol) => write!(formatter, "{symbol}"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let mut found = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            character if character.is_whitespace() => {}
            '!' | '\'' | '*' | '&' | '+' | '|' | '^' | '(' | ')' => {
                found.push(Token::Symbol(character))
            }
            character if character.is_alphanumeric() || character == '_' || character == '[' => {
                let mut name = String::from(character);
                while let Some(next) =
                    characters.next_if(|next| next.is_alphanumeric() || "_[]".contains(*next))
                {
                    name.push(next);
                }
                found.push(Token::Name(name));
            }
            other => {
                return Err(Error::Function {
                    text: text.to_string(),
                    message: format!("'{other}' is no operator"),
                })
            }
        }
    }
    Ok(found)
}

/// Nesting that no real function comes near; it keeps hostile text from using up the stack.
const MAX_DEPTH: usize = 200;

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn fault(&self, message: impl Into<String>) -> Error {
        Error::Function {
            text: self.text.to_string(),
            message: message.into(),
        }
    }

    fn take(&mut self, symbols: &[char]) -> Option<char> {
        match self.peek() {
            Some(Token::Symbol(symbol)) if symbols.contains(symbol) => {
                let symbol = *symbol;
                self.at += 1;
                Some(symbol)
            }
            _ => None,
        }
    }

    // Liberty's precedence, weakest first: OR, AND, XOR, NOT.
    fn or(&mut self) -> Result<Function, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault("it is nested too deeply"));
        }
        let mut terms = vec![self.and()?];
        while self.take(&['+', '|']).is_some() {
            terms.push(self.and()?);
        }
        self.depth -= 1;
        Ok(single_or(terms, Function::Or))
    }

    fn and(&mut self) -> Result<Function, Error> {
        let mut terms = vec![self.xor()?];
        loop {
            let explicit = self.take(&['*', '&']).is_some();
            let implicit = matches!(self.peek(), Some(Token::Name(_) | Token::Symbol('!' | '(')));
            if !explicit && !implicit {
                return Ok(single_or(terms, Function::And));
            }
            terms.push(self.xor()?);
        }
    }

    fn xor(&mut self) -> Result<Function, Error> {
        let mut left = self.unary()?;
        while self.take(&['^']).is_some() {
            let right = self.unary()?;
            left = Function::Xor(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Function, Error> {
        let mut inverted = false;
        while self.take(&['!']).is_some() {
            inverted = !inverted;
        }
        let mut function = self.primary()?;
        while self.take(&['\'']).is_some() {
            inverted = !inverted;
        }
        if inverted {
            function = Function::Not(Box::new(function));
        }
        Ok(function)
    }

    fn primary(&mut self) -> Result<Function, Error> {
        if self.take(&['(']).is_some() {
            let inner = self.or()?;
            return match self.take(&[')']) {
                Some(_) => Ok(inner),
                None => Err(self.fault("a ')' is missing")),
            };
        }
        match self.peek().cloned() {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(match name.as_str() {
                    "0" => Function::Constant(false),
                    "1" => Function::Constant(true),
                    _ => Function::Pin(name),
                })
            }
            Some(token) => Err(self.fault(format!("'{token}' stands where a pin should"))),
            None => Err(self.fault("it ends where a pin should stand")),
        }
    }
}

fn single_or(mut terms: Vec<Function>, many: fn(Vec<Function>) -> Function) -> Function {
    match terms.len() {
        1 => terms.remove(0),
        _ => many(terms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Truth table of up to six pins, A to F, as one word.
    fn table(text: &str) -> u64 {
        const BITS: [u64; 6] = [
            0xaaaa_aaaa_aaaa_aaaa,
            0xcccc_cccc_cccc_cccc,
            0xf0f0_f0f0_f0f0_f0f0,
            0xff00_ff00_ff00_ff00,
            0xffff_0000_ffff_0000,
            0xffff_ffff_0000_0000,
        ];
        let function = Function::parse(text).expect("a function");
        function.evaluate(&|name| BITS[(name.as_bytes()[0] - b'A') as usize])
    }

    #[test]
    fn forms_of_liberty_agree() {
        assert_eq!(table("(!A&!B) | (!C)"), table("(A+B)' + C'"));
        assert_eq!(table("A B + C"), table("(A*B)|C"));
        assert_eq!(table("A ^ B ^ C"), 0x9696_9696_9696_9696);
        assert_eq!(table("!(A B)'"), table("A&B"));
        assert_eq!(table("!A ^ B"), !table("A ^ B"));
    }

    #[test]
    fn pins_are_listed_once() {
        let function = Function::parse("(A1&A2) | (!B1&A1)").expect("a function");
        assert_eq!(function.pins(), ["A1", "A2", "B1"]);
    }

    #[test]
    fn wrong_text_is_told() {
        for text in ["", "A &", "(A", "A)", "A $ B", "'A"] {
            assert!(Function::parse(text).is_err(), "{text:?}");
        }
        assert!(Function::parse(&"(".repeat(100_000)).is_err());
    }
}
