use std::path::Path;

use crate::Error;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier or keyword.
    Word(String),
    /// `\name `: never a keyword.
    Escaped(String),
    Number(u64),
    /// `4'b01x0`: bits, leftmost first; `None` is x or z.
    Bits(Vec<Option<bool>>),
    Symbol(char),
}

impl std::fmt::Display for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => write!(formatter, "'{word}'"),
            Self::Escaped(name) => write!(formatter, "'\\{name} '"),
            Self::Number(number) => write!(formatter, "'{number}'"),
            Self::Bits(bits) => write!(formatter, "a constant of {} bits", bits.len()),
            Self::Symbol(symbol) => write!(formatter, "'{symbol}'"),
        }
    }
}

/// The tokens of a text with the line each stands on; comments, attributes and compiler directives are left out.
pub(super) fn tokens(text: &str, path: &Path) -> Result<Vec<(Token, usize)>, Error> {
    Lexer {
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        path,
    }
    .run()
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    path: &'a Path,
}

impl Lexer<'_> {
    fn run(mut self) -> Result<Vec<(Token, usize)>, Error> {
        let mut found = Vec::new();
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                byte if byte.is_ascii_whitespace() => self.at += 1,
                b'/' if self.peek(1) == Some(b'/') => self.skip_line(),
                b'/' if self.peek(1) == Some(b'*') => self.skip_past(b"*/", "a comment")?,
                b'(' if self.peek(1) == Some(b'*') && self.peek(2) != Some(b')') => {
                    self.skip_past(b"*)", "an attribute")?
                }
                b'`' => self.skip_line(),
                b'\\' => {
                    self.at += 1;
                    let name = self.while_true(|byte| !byte.is_ascii_whitespace());
                    found.push((Token::Escaped(name), self.line));
                }
                byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                    let word = self.while_true(|byte| {
                        byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
                    });
                    found.push((Token::Word(word), self.line));
                }
                byte if byte.is_ascii_digit() || byte == b'\'' => {
                    let token = self.number()?;
                    found.push((token, self.line));
                }
                byte if b"()[]{},;:.=-#".contains(&byte) => {
                    self.at += 1;
                    found.push((Token::Symbol(byte as char), self.line));
                }
                byte => {
                    let shown = if byte.is_ascii_graphic() {
                        (byte as char).to_string()
                    } else {
                        format!("byte {byte:#04x}")
                    };
                    return Err(
                        self.fault(format!("'{shown}' has no place in a structural netlist"))
                    );
                }
            }
        }
        Ok(found)
    }

    fn fault(&self, message: impl Into<String>) -> Error {
        Error::syntax(self.path, self.line, message)
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn skip_past(&mut self, end: &[u8], what: &str) -> Result<(), Error> {
        let start = self.line;
        self.at += 2;
        while let Some(byte) = self.peek(0) {
            if self.bytes[self.at..].starts_with(end) {
                self.at += end.len();
                return Ok(());
            }
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
        Err(Error::syntax(
            self.path,
            start,
            format!("{what} that starts here never ends"),
        ))
    }

    fn while_true(&mut self, keep: impl Fn(u8) -> bool) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(&keep) {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }

    fn number(&mut self) -> Result<Token, Error> {
        let digits = self
            .while_true(|byte| byte.is_ascii_digit() || byte == b'_')
            .replace('_', "");
        if self.peek(0) != Some(b'\'') {
            return digits
                .parse()
                .map(Token::Number)
                .map_err(|_| self.fault(format!("{digits} is too large")));
        }
        self.at += 1;
        if self
            .peek(0)
            .is_some_and(|byte| byte == b's' || byte == b'S')
        {
            self.at += 1;
        }
        let base = self.peek(0).unwrap_or(b' ').to_ascii_lowercase();
        self.at += 1;
        let text = self
            .while_true(|byte| byte.is_ascii_alphanumeric() || b"_?".contains(&byte))
            .replace('_', "");
        let width: usize = if digits.is_empty() {
            32
        } else {
            digits.parse().unwrap_or(0)
        };
        if width == 0 || width > 65_536 {
            return Err(self.fault(format!("a constant cannot be {digits} bits wide")));
        }
        let each = match base {
            b'b' => 1,
            b'o' => 3,
            b'h' => 4,
            b'd' => return self.decimal(&text, width),
            _ => return Err(self.fault("a constant's base is b, o, d or h")),
        };
        let mut bits = Vec::with_capacity(text.len() * each);
        for digit in text.chars() {
            match digit.to_digit(1 << each) {
                Some(value) => bits.extend((0..each).rev().map(|bit| Some(value >> bit & 1 == 1))),
                None if "xXzZ?".contains(digit) => bits.extend(std::iter::repeat_n(None, each)),
                None => return Err(self.fault(format!("'{digit}' is no digit of this constant"))),
            }
        }
        let excess = bits.len().saturating_sub(width);
        bits.drain(..excess);
        let fill = match bits.first() {
            Some(None) => None,
            _ => Some(false),
        };
        let missing = width - bits.len();
        bits.splice(0..0, std::iter::repeat_n(fill, missing));
        Ok(Token::Bits(bits))
    }

    fn decimal(&self, text: &str, width: usize) -> Result<Token, Error> {
        let value: u64 = text
            .parse()
            .map_err(|_| self.fault(format!("'{text}' is no decimal constant")))?;
        Ok(Token::Bits(
            (0..width)
                .rev()
                .map(|bit| Some(bit < 64 && value >> bit & 1 == 1))
                .collect(),
        ))
    }
}
