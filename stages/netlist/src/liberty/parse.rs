//! The syntax of Liberty: groups, simple attributes `name : value;` and complex ones `name (values);`.

use std::path::Path;

use crate::Error;

/// A group: `kind (arguments) { … }`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    pub kind: String,
    pub arguments: Vec<String>,
    pub attributes: Vec<Attribute>,
    pub groups: Vec<Group>,
    /// Line on which it starts, from 1.
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    pub name: String,
    /// One value for a simple attribute, any number for a complex one; quotes are off.
    pub values: Vec<String>,
    pub line: usize,
}

impl Group {
    /// Values of an attribute.
    #[must_use]
    pub fn values(&self, name: &str) -> Option<&[String]> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
            .map(|attribute| attribute.values.as_slice())
    }
    /// The one value of a simple attribute.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values(name)?.first().map(String::as_str)
    }
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.trim().parse().ok()
    }
    /// The numbers of an attribute such as `index_1 ("1, 2, 3")`; empty where it is not there or holds something else.
    #[must_use]
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        self.values(name)
            .and_then(|values| super::table::numbers(values).ok())
            .unwrap_or_default()
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Symbol(char),
}

/// Nesting that no real library comes near.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(text: &str, path: &Path) -> Result<Group, Error> {
    let mut parser = Parser {
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        path,
        ahead: None,
    };
    let root = match parser.statement(0)? {
        Some(Statement::Group(group)) => group,
        _ => return Err(parser.fault("a Liberty file starts with 'library (name) {'")),
    };
    match parser.next()? {
        None => Ok(root),
        Some(_) => Err(parser.fault("something follows the library's last '}'")),
    }
}

enum Statement {
    Group(Group),
    Attribute(Attribute),
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    path: &'a Path,
    ahead: Option<Token>,
}

impl Parser<'_> {
    fn fault(&self, message: impl Into<String>) -> Error {
        Error::syntax(self.path, self.line, message)
    }

    fn statement(&mut self, depth: usize) -> Result<Option<Statement>, Error> {
        if depth > MAX_DEPTH {
            return Err(self.fault("groups are nested too deeply"));
        }
        let name = match self.next()? {
            Some(Token::Word(name) | Token::Quoted(name)) => name,
            Some(Token::Symbol('}')) => return Ok(None),
            Some(Token::Symbol(symbol)) => {
                return Err(self.fault(format!("a name was expected, not '{symbol}'")))
            }
            None => return Err(self.fault("the text ends inside a group: a '}' is missing")),
        };
        let line = self.line;
        match self.next()? {
            Some(Token::Symbol(':')) => self
                .simple(name, line)
                .map(|attribute| Some(Statement::Attribute(attribute))),
            Some(Token::Symbol('(')) => {
                let values = self.arguments()?;
                if self.take('{')? {
                    return self
                        .body(name, values, line, depth)
                        .map(|group| Some(Statement::Group(group)));
                }
                self.take(';')?;
                Ok(Some(Statement::Attribute(Attribute { name, values, line })))
            }
            _ => Err(self.fault(format!("':' or '(' was expected after '{name}'"))),
        }
    }

    /// `name : value;` where the value may be an expression of several words.
    fn simple(&mut self, name: String, line: usize) -> Result<Attribute, Error> {
        let mut words = Vec::new();
        loop {
            let next = self.peek()?.cloned();
            match next {
                Some(Token::Symbol(';')) => {
                    self.next()?;
                    break;
                }
                Some(Token::Symbol('}')) | None => break,
                // The semicolon may be left out at the end of a line.
                Some(_) if !words.is_empty() && self.line > line => break,
                Some(Token::Word(word) | Token::Quoted(word)) => {
                    words.push(word);
                    self.next()?;
                }
                Some(Token::Symbol(symbol)) => {
                    words.push(symbol.to_string());
                    self.next()?;
                }
            }
        }
        if words.is_empty() {
            return Err(self.fault(format!("'{name}' has no value")));
        }
        Ok(Attribute {
            name,
            values: vec![words.join(" ")],
            line,
        })
    }

    fn arguments(&mut self) -> Result<Vec<String>, Error> {
        let mut values = Vec::new();
        loop {
            match self.next()? {
                Some(Token::Word(word) | Token::Quoted(word)) => values.push(word),
                Some(Token::Symbol(',')) => {}
                Some(Token::Symbol(')')) => return Ok(values),
                Some(Token::Symbol(symbol)) => {
                    return Err(self.fault(format!("'{symbol}' has no place between '(' and ')'")))
                }
                None => return Err(self.fault("the text ends where a ')' is missing")),
            }
        }
    }

    fn body(
        &mut self,
        kind: String,
        arguments: Vec<String>,
        line: usize,
        depth: usize,
    ) -> Result<Group, Error> {
        let mut group = Group {
            kind,
            arguments,
            line,
            ..Group::default()
        };
        while let Some(statement) = self.statement(depth + 1)? {
            match statement {
                Statement::Group(inner) => group.groups.push(inner),
                Statement::Attribute(attribute) => group.attributes.push(attribute),
            }
            while self.take(';')? {}
        }
        Ok(group)
    }

    fn take(&mut self, symbol: char) -> Result<bool, Error> {
        if self.peek()? == Some(&Token::Symbol(symbol)) {
            self.next()?;
            return Ok(true);
        }
        Ok(false)
    }

    fn peek(&mut self) -> Result<Option<&Token>, Error> {
        if self.ahead.is_none() {
            self.ahead = self.lex()?;
        }
        Ok(self.ahead.as_ref())
    }

    fn next(&mut self) -> Result<Option<Token>, Error> {
        match self.ahead.take() {
            Some(token) => Ok(Some(token)),
            None => self.lex(),
        }
    }

    fn lex(&mut self) -> Result<Option<Token>, Error> {
        loop {
            let Some(&byte) = self.bytes.get(self.at) else {
                return Ok(None);
            };
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                byte if byte.is_ascii_whitespace() || byte == b'\\' => self.at += 1,
                b'/' if self.bytes[self.at..].starts_with(b"/*") => self.comment()?,
                b'/' if self.bytes[self.at..].starts_with(b"//") => {
                    while self.bytes.get(self.at).is_some_and(|byte| *byte != b'\n') {
                        self.at += 1;
                    }
                }
                b'"' => return self.quoted().map(Some),
                byte if b"(){}:;,".contains(&byte) => {
                    self.at += 1;
                    return Ok(Some(Token::Symbol(byte as char)));
                }
                _ => {
                    let start = self.at;
                    let ends =
                        |byte: u8| byte.is_ascii_whitespace() || b"(){}:;,\"\\".contains(&byte);
                    while self.bytes.get(self.at).is_some_and(|byte| !ends(*byte)) {
                        self.at += 1;
                    }
                    return Ok(Some(Token::Word(
                        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned(),
                    )));
                }
            }
        }
    }

    fn comment(&mut self) -> Result<(), Error> {
        let start = self.line;
        while !self.bytes[self.at..].starts_with(b"*/") {
            match self.bytes.get(self.at) {
                Some(b'\n') => self.line += 1,
                Some(_) => {}
                None => {
                    return Err(Error::syntax(
                        self.path,
                        start,
                        "a comment that starts here never ends",
                    ))
                }
            }
            self.at += 1;
        }
        self.at += 2;
        Ok(())
    }

    fn quoted(&mut self) -> Result<Token, Error> {
        let start = self.line;
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\n') => {
                    self.line += 1;
                    text.push(b' ');
                }
                // A backslash at the end of a line continues it.
                Some(b'\\') => {}
                Some(byte) => text.push(*byte),
                None => {
                    return Err(Error::syntax(
                        self.path,
                        start,
                        "a '\"' that opens here is never closed",
                    ))
                }
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(Token::Quoted(String::from_utf8_lossy(&text).into_owned()))
    }
}
