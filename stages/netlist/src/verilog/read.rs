use std::collections::BTreeMap;
use std::path::Path;

use super::lexer::{tokens, Token};
use crate::{Cell, Direction, Error, NetId, Netlist, Port};

/// A vector may be this wide; wider ones are slips of the pen that would eat the memory.
const MAX_VECTOR: i64 = 1 << 20;

pub(super) fn read(text: &str, path: &Path, top: Option<&str>) -> Result<Netlist, Error> {
    let tokens = tokens(text, path)?;
    let mut reader = Reader {
        tokens,
        at: 0,
        path,
    };
    let mut modules: Vec<(String, usize)> = Vec::new();
    while reader.at < reader.tokens.len() {
        if reader.is_word("module") {
            let at = reader.at;
            reader.at += 1;
            modules.push((reader.name()?, at));
        } else {
            reader.at += 1;
        }
    }
    let start = match (top, modules.as_slice()) {
        (Some(top), modules) => modules
            .iter()
            .find(|(name, _)| name == top)
            .map(|(_, at)| *at)
            .ok_or_else(|| {
                let names: Vec<&str> = modules.iter().map(|(name, _)| name.as_str()).collect();
                Error::Netlist(format!(
                    "{}: there is no module '{top}', only: {}",
                    path.display(),
                    names.join(", ")
                ))
            })?,
        (None, [(_, at)]) => *at,
        (None, []) => {
            return Err(Error::Netlist(format!(
                "{}: there is no module in it",
                path.display()
            )))
        }
        (None, modules) => {
            let names: Vec<&str> = modules.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!(
                "{}: which module is the top: {}?",
                path.display(),
                names.join(", ")
            );
            return Err(Error::Netlist(message));
        }
    };
    reader.at = start;
    Module::default().read(&mut reader)
}

struct Reader<'a> {
    tokens: Vec<(Token, usize)>,
    at: usize,
    path: &'a Path,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn line(&self) -> usize {
        let at = self.at.min(self.tokens.len().saturating_sub(1));
        self.tokens.get(at).map_or(1, |(_, line)| *line)
    }

    fn fault(&self, message: impl Into<String>) -> Error {
        Error::syntax(self.path, self.line(), message)
    }

    fn unexpected(&self, wanted: &str) -> Error {
        match self.peek() {
            Some(token) => self.fault(format!("{wanted} was expected, not {token}")),
            None => self.fault(format!("the text ends where {wanted} was expected")),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found == word)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn take(&mut self, symbol: char) -> bool {
        let found = self.peek() == Some(&Token::Symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: char) -> Result<(), Error> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("'{symbol}'")))
        }
    }

    fn name(&mut self) -> Result<String, Error> {
        match self.peek() {
            Some(Token::Word(name) | Token::Escaped(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn integer(&mut self) -> Result<i64, Error> {
        let negative = self.take('-');
        match self.peek() {
            Some(Token::Number(number)) => {
                let value =
                    i64::try_from(*number).map_err(|_| self.fault("this number is too large"))?;
                self.at += 1;
                Ok(if negative { -value } else { value })
            }
            _ => Err(self.unexpected("a number")),
        }
    }

    /// `[left:right]`, if it is there.
    fn range(&mut self) -> Result<Option<(i64, i64)>, Error> {
        if !self.take('[') {
            return Ok(None);
        }
        let left = self.integer()?;
        self.expect(':')?;
        let right = self.integer()?;
        self.expect(']')?;
        if (left - right).abs() >= MAX_VECTOR {
            return Err(self.fault(format!("a vector [{left}:{right}] is too wide")));
        }
        Ok(Some((left, right)))
    }
}

/// Bits of a vector, left to right.
fn indices((left, right): (i64, i64)) -> Vec<i64> {
    if left >= right {
        (right..=left).rev().collect()
    } else {
        (left..=right).collect()
    }
}

#[derive(Default)]
struct Module {
    netlist: Netlist,
    /// Declared vectors by name.
    vectors: BTreeMap<String, (i64, i64)>,
    /// Port names in the order of the header, and their directions when known.
    header: Vec<String>,
    directions: BTreeMap<String, Direction>,
    /// Pairs of nets that an `assign` makes one.
    aliases: Vec<(NetId, NetId, usize)>,
    instances: std::collections::BTreeSet<String>,
}

impl Module {
    fn read(mut self, reader: &mut Reader) -> Result<Netlist, Error> {
        reader.at += 1;
        self.netlist = Netlist::new(reader.name()?);
        if reader.take('#') {
            return Err(
                reader.fault("a parameterised module is no netlist of cells; synthesise it first")
            );
        }
        if reader.take('(') {
            self.header(reader)?;
        }
        reader.expect(';')?;
        while !reader.take_word("endmodule") {
            self.statement(reader)?;
        }
        self.ports(reader)?;
        self.merge_aliases(reader.path)?;
        Ok(self.netlist)
    }

    fn header(&mut self, reader: &mut Reader) -> Result<(), Error> {
        if reader.take(')') {
            return Ok(());
        }
        let mut declared: Option<(Direction, Option<(i64, i64)>)> = None;
        loop {
            if let Some(direction) = direction(reader) {
                while reader.take_word("wire")
                    || reader.take_word("reg")
                    || reader.take_word("logic")
                {}
                declared = Some((direction, reader.range()?));
            }
            let name = reader.name()?;
            if self.header.contains(&name) {
                return Err(reader.fault(format!("port '{name}' stands twice in the header")));
            }
            if let Some((direction, range)) = declared {
                self.declare_port(reader, &name, direction, range)?;
            }
            self.header.push(name);
            if reader.take(')') {
                return Ok(());
            }
            reader.expect(',')?;
        }
    }

    fn declare_port(
        &mut self,
        reader: &Reader,
        name: &str,
        direction: Direction,
        range: Option<(i64, i64)>,
    ) -> Result<(), Error> {
        if self
            .directions
            .insert(name.to_string(), direction)
            .is_some()
        {
            return Err(reader.fault(format!("port '{name}' is declared twice")));
        }
        if let Some(range) = range {
            self.vectors.insert(name.to_string(), range);
        }
        Ok(())
    }

    fn statement(&mut self, reader: &mut Reader) -> Result<(), Error> {
        if let Some(direction) = direction(reader) {
            while reader.take_word("wire") || reader.take_word("reg") {}
            let range = reader.range()?;
            loop {
                let name = reader.name()?;
                if !self.header.contains(&name) {
                    return Err(reader.fault(format!(
                        "'{name}' is declared as a port and does not stand in the header"
                    )));
                }
                self.declare_port(reader, &name, direction, range)?;
                if reader.take(';') {
                    return Ok(());
                }
                reader.expect(',')?;
            }
        }
        if reader.take_word("wire") || reader.take_word("tri") {
            return self.wires(reader);
        }
        if reader.take_word("assign") {
            return self.assign(reader);
        }
        for word in [
            "always",
            "initial",
            "reg",
            "parameter",
            "localparam",
            "function",
            "generate",
            "module",
        ] {
            if reader.is_word(word) {
                return Err(reader.fault(format!(
                    "'{word}' has no place in a netlist of cells; synthesise it first"
                )));
            }
        }
        self.instance(reader)
    }

    fn wires(&mut self, reader: &mut Reader) -> Result<(), Error> {
        let range = reader.range()?;
        loop {
            let name = reader.name()?;
            if let Some(range) = range {
                self.vectors.insert(name.clone(), range);
            }
            if reader.take('=') {
                let left = self.named(&name);
                let right = self.expression(reader)?;
                self.alias(reader, &left, &right)?;
            }
            if reader.take(';') {
                return Ok(());
            }
            reader.expect(',')?;
        }
    }

    fn assign(&mut self, reader: &mut Reader) -> Result<(), Error> {
        loop {
            let left = self.expression(reader)?;
            reader.expect('=')?;
            let right = self.expression(reader)?;
            self.alias(reader, &left, &right)?;
            if reader.take(';') {
                return Ok(());
            }
            reader.expect(',')?;
        }
    }

    fn alias(
        &mut self,
        reader: &Reader,
        left: &[Option<NetId>],
        right: &[Option<NetId>],
    ) -> Result<(), Error> {
        if left.len() != right.len() {
            let message = format!("an assign joins {} bits with {}", left.len(), right.len());
            return Err(reader.fault(message));
        }
        for (left, right) in left.iter().zip(right) {
            if let (Some(left), Some(right)) = (left, right) {
                self.aliases.push((*left, *right, reader.line()));
            }
        }
        Ok(())
    }

    fn instance(&mut self, reader: &mut Reader) -> Result<(), Error> {
        let kind = reader.name()?;
        if reader.take('#') {
            return Err(reader.fault(format!(
                "instance of '{kind}' has parameters; a library cell has none"
            )));
        }
        let name = reader.name()?;
        if !self.instances.insert(name.clone()) {
            return Err(reader.fault(format!("instance '{name}' stands twice")));
        }
        reader.expect('(')?;
        let mut pins = Vec::new();
        while !reader.take(')') {
            if !reader.take('.') {
                return Err(reader.unexpected("a named pin such as '.A(net)'"));
            }
            let pin = reader.name()?;
            reader.expect('(')?;
            if !reader.take(')') {
                let bits = self.expression(reader)?;
                reader.expect(')')?;
                match bits.as_slice() {
                    [Some(net)] => pins.push((pin, *net)),
                    [None] => {}
                    bits => {
                        let message =
                            format!("pin '{pin}' of '{name}' takes one bit, not {}", bits.len());
                        return Err(reader.fault(message));
                    }
                }
            }
            if !reader.take(',') {
                reader.expect(')')?;
                break;
            }
        }
        reader.expect(';')?;
        self.netlist.add_cell(Cell { name, kind, pins });
        Ok(())
    }

    /// The bits of an expression, left to right; `None` is a bit of x or z.
    fn expression(&mut self, reader: &mut Reader) -> Result<Vec<Option<NetId>>, Error> {
        if reader.take('{') {
            let mut bits = Vec::new();
            loop {
                bits.extend(self.expression(reader)?);
                if reader.take('}') {
                    return Ok(bits);
                }
                reader.expect(',')?;
            }
        }
        if let Some(Token::Bits(bits)) = reader.peek() {
            let bits = bits.clone();
            reader.at += 1;
            return Ok(bits
                .into_iter()
                .map(|bit| bit.map(|value| self.netlist.constant(value)))
                .collect());
        }
        let name = reader.name()?;
        if !reader.take('[') {
            return Ok(self.named(&name));
        }
        let left = reader.integer()?;
        let right = if reader.take(':') {
            reader.integer()?
        } else {
            left
        };
        reader.expect(']')?;
        let Some(range) = self.vectors.get(&name) else {
            return Err(reader.fault(format!("'{name}' is no vector, so it has no bit {left}")));
        };
        let (low, high) = (range.0.min(range.1), range.0.max(range.1));
        if left.min(right) < low || left.max(right) > high {
            return Err(reader.fault(format!(
                "'{name}' has no bit {left}: it is [{}:{}]",
                range.0, range.1
            )));
        }
        Ok(indices((left, right))
            .into_iter()
            .map(|index| Some(self.netlist.net(&format!("{name}[{index}]"))))
            .collect())
    }

    fn named(&mut self, name: &str) -> Vec<Option<NetId>> {
        match self.vectors.get(name) {
            Some(range) => {
                let range = *range;
                indices(range)
                    .into_iter()
                    .map(|index| Some(self.netlist.net(&format!("{name}[{index}]"))))
                    .collect()
            }
            None => vec![Some(self.netlist.net(name))],
        }
    }

    fn ports(&mut self, reader: &Reader) -> Result<(), Error> {
        for name in std::mem::take(&mut self.header) {
            let Some(direction) = self.directions.get(&name).copied() else {
                return Err(reader.fault(format!("port '{name}' has no direction")));
            };
            let range = self.vectors.get(&name).copied();
            let bits = self.named(&name).into_iter().flatten().collect();
            self.netlist.ports.push(Port {
                name,
                direction,
                range,
                bits,
            });
        }
        Ok(())
    }

    /// Makes nets that an `assign` joins one, under the port's name where one of them is a port.
    fn merge_aliases(&mut self, path: &Path) -> Result<(), Error> {
        if self.aliases.is_empty() {
            return Ok(());
        }
        let mut is_port = vec![false; self.netlist.nets.len()];
        for net in self.netlist.ports.iter().flat_map(|port| &port.bits) {
            is_port[net.index()] = true;
        }
        let mut root: Vec<NetId> = (0..self.netlist.nets.len())
            .map(|index| NetId(index as u32))
            .collect();
        let find = |root: &[NetId], mut net: NetId| {
            while root[net.index()] != net {
                net = root[net.index()];
            }
            net
        };
        for (left, right, line) in std::mem::take(&mut self.aliases) {
            let (left, right) = (find(&root, left), find(&root, right));
            if left == right {
                continue;
            }
            let fixed = |net: NetId| {
                is_port[net.index()] || self.netlist.nets[net.index()].constant.is_some()
            };
            match (fixed(left), fixed(right)) {
                (true, true) => {
                    let names = [left, right].map(|net| self.netlist.net_name(net).to_string());
                    let message = format!(
                        "'{}' is joined with '{}' without a cell; put a buffer there",
                        names[0], names[1]
                    );
                    return Err(Error::syntax(path, line, message));
                }
                (true, false) => root[right.index()] = left,
                _ => root[left.index()] = right,
            }
        }
        for cell in &mut self.netlist.cells {
            for (_, net) in &mut cell.pins {
                *net = find(&root, *net);
            }
        }
        Ok(())
    }
}

fn direction(reader: &mut Reader) -> Option<Direction> {
    for (word, direction) in [
        ("input", Direction::Input),
        ("output", Direction::Output),
        ("inout", Direction::Inout),
    ] {
        if reader.take_word(word) {
            return Some(direction);
        }
    }
    None
}
