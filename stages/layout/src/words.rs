//! Words of a LEF or DEF file with their lines.

use crate::{Dbu, LayoutError};

/// Splits a text at white space; `#` starts a comment at the beginning of a word; a quoted string is one word,
/// with its quotes, so that `"+"` is not taken for `+`.
pub(crate) struct Words<'a> {
    file: &'a str,
    text: &'a str,
    at: usize,
    line: usize,
    peeked: Option<&'a str>,
}

impl<'a> Words<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            text,
            at: 0,
            line: 1,
            peeked: None,
        }
    }

    /// The next word, or `None` at the end of the file.
    pub fn next(&mut self) -> Option<&'a str> {
        if let Some(word) = self.peeked.take() {
            return Some(word);
        }
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at)? {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                byte if byte.is_ascii_whitespace() => self.at += 1,
                b'#' => {
                    while bytes.get(self.at).is_some_and(|byte| *byte != b'\n') {
                        self.at += 1;
                    }
                }
                _ => break,
            }
        }
        let start = self.at;
        if bytes[start] == b'"' {
            self.at += 1;
            while let Some(byte) = bytes.get(self.at) {
                self.at += 1;
                match byte {
                    b'"' => break,
                    b'\n' => self.line += 1,
                    _ => {}
                }
            }
        } else {
            while bytes
                .get(self.at)
                .is_some_and(|byte| !byte.is_ascii_whitespace())
            {
                self.at += 1;
            }
        }
        self.text.get(start..self.at)
    }

    pub fn peek(&mut self) -> Option<&'a str> {
        if self.peeked.is_none() {
            self.peeked = self.next();
        }
        self.peeked
    }

    /// The next word, which must be there.
    pub fn word(&mut self) -> Result<&'a str, LayoutError> {
        self.next()
            .ok_or_else(|| self.fault("the file ends in the middle of a statement"))
    }

    pub fn expect(&mut self, wanted: &str) -> Result<(), LayoutError> {
        let word = self.word()?;
        if word == wanted {
            return Ok(());
        }
        Err(self.fault(&format!("expected '{wanted}', found '{word}'")))
    }

    /// Skips to the end of a statement.
    pub fn skip_statement(&mut self) -> Result<(), LayoutError> {
        while self.word()? != ";" {}
        Ok(())
    }

    /// Skips to the closing bracket of a connection, past words such as `+ SYNTHESIZED`.
    pub fn skip_to_bracket(&mut self) -> Result<(), LayoutError> {
        while self.word()? != ")" {}
        Ok(())
    }

    pub fn number(&mut self) -> Result<f64, LayoutError> {
        let word = self.word()?;
        match word.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(self.fault(&format!("expected a number, found '{word}'"))),
        }
    }

    /// A count or a coordinate in database units.
    pub fn integer(&mut self) -> Result<i32, LayoutError> {
        let word = self.word()?;
        self.parse_integer(word)
    }

    pub fn parse_integer(&self, word: &str) -> Result<i32, LayoutError> {
        if let Ok(value) = word.parse::<i32>() {
            return Ok(value);
        }
        // Some writers print 1000.0 for 1000.
        match word.parse::<f64>() {
            Ok(value) if value.fract() == 0.0 && value.abs() < 2e9 => Ok(value as i32),
            _ => Err(self.fault(&format!("expected a whole number, found '{word}'"))),
        }
    }

    /// A length in micrometres as database units.
    pub fn microns(&mut self) -> Result<Dbu, LayoutError> {
        let value = self.number()? * 1000.0;
        if value.abs() > 2e9 {
            return Err(self.fault("the coordinate is too big"));
        }
        Ok(value.round() as Dbu)
    }

    pub fn fault(&self, message: &str) -> LayoutError {
        LayoutError::Syntax {
            file: self.file.to_string(),
            line: self.line,
            message: message.to_string(),
        }
    }
}
