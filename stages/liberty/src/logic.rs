//! What a cell computes, read from its functional Verilog model.

use std::collections::BTreeMap;
use std::fmt;

use crate::LibertyError;

/// A Boolean expression over input pins.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    Constant(bool),
    Input(String),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Xor(Vec<Expression>),
}

use Expression::{And, Constant, Input, Not, Or, Xor};

impl Expression {
    fn not(self) -> Self {
        match self {
            Not(inner) => *inner,
            Constant(value) => Constant(!value),
            other => Not(Box::new(other)),
        }
    }

    /// Value when `input` gives the pins' values.
    pub fn evaluate(&self, input: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Constant(value) => *value,
            Input(name) => input(name),
            Not(inner) => !inner.evaluate(input),
            And(parts) => parts.iter().all(|part| part.evaluate(input)),
            Or(parts) => parts.iter().any(|part| part.evaluate(input)),
            Xor(parts) => parts.iter().filter(|part| part.evaluate(input)).count() % 2 == 1,
        }
    }

    fn is_operation(&self) -> bool {
        matches!(self, And(_) | Or(_) | Xor(_))
    }
}

/// Liberty's notation: `!`, `&`, `|`, `^` and parentheses.
impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrapped = |part: &Expression| {
            if part.is_operation() {
                format!("({part})")
            } else {
                part.to_string()
            }
        };
        let joined = |parts: &[Expression], sign: &str| {
            parts.iter().map(wrapped).collect::<Vec<_>>().join(sign)
        };
        match self {
            Constant(value) => write!(formatter, "{}", u8::from(*value)),
            Input(name) => write!(formatter, "{name}"),
            Not(inner) => write!(formatter, "!{}", wrapped(inner)),
            And(parts) => write!(formatter, "{}", joined(parts, " & ")),
            Or(parts) => write!(formatter, "{}", joined(parts, " | ")),
            Xor(parts) => write!(formatter, "{}", joined(parts, " ^ ")),
        }
    }
}

/// A D flip-flop inside a cell: rises with `clock`, takes `next`.
#[derive(Debug, Clone, PartialEq)]
pub struct FlipFlop {
    pub clock: String,
    pub next: Expression,
}

/// What one cell computes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Logic {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    /// Function of each output, in the order of `outputs`; for a flip-flop's output [`Input`] of [`STATE`] or its inverse.
    pub functions: Vec<Expression>,
    pub flip_flop: Option<FlipFlop>,
}

/// Stands for the flip-flop's value in [`Logic::functions`].
pub const STATE: &str = "IQ";

/// Reads the module named `cell` out of the library's functional Verilog.
pub fn read(verilog: &str, cell: &str) -> Result<Logic, LibertyError> {
    let is_head = |line: &str| {
        let mut words = line.split(|character: char| character.is_whitespace() || character == '(');
        words.next() == Some("module") && words.next() == Some(cell)
    };
    let body: String = verilog
        .lines()
        .skip_while(|line| !is_head(line))
        .take_while(|line| line.trim() != "endmodule")
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    if body.is_empty() {
        return Err(LibertyError::cell(
            cell,
            "the library's functional Verilog has no such module",
        ));
    }
    // The port list of the header ends with the first statement.
    let mut logic = Logic::default();
    let mut instances: Vec<Vec<String>> = Vec::new();
    for statement in body.split(';').skip(1) {
        let words: Vec<String> = statement
            .split(|character: char| character.is_whitespace() || "(),".contains(character))
            .filter(|word| !word.is_empty() && !word.starts_with('`'))
            .map(str::to_string)
            .collect();
        match words.first().map(String::as_str) {
            None | Some("wire" | "supply0" | "supply1") => {}
            Some("input") => logic.inputs.extend(words.into_iter().skip(1)),
            Some("output") => logic.outputs.extend(words.into_iter().skip(1)),
            Some(_) => instances.push(words),
        }
    }
    resolve(cell, &mut logic, &instances)?;
    Ok(logic)
}

/// Substitutes gate by gate, in whatever order they stand.
fn resolve(cell: &str, logic: &mut Logic, instances: &[Vec<String>]) -> Result<(), LibertyError> {
    let mut known: BTreeMap<String, Expression> = logic
        .inputs
        .iter()
        .map(|name| (name.clone(), Input(name.clone())))
        .collect();
    let mut waiting: Vec<&Vec<String>> = instances.iter().collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut later = Vec::new();
        for instance in waiting {
            let [kind, _name, output, arguments @ ..] = instance.as_slice() else {
                return Err(LibertyError::cell(
                    cell,
                    format!("statement '{}' in its Verilog", instance.join(" ")),
                ));
            };
            let arguments: Option<Vec<Expression>> = arguments
                .iter()
                .map(|name| known.get(name).cloned())
                .collect();
            match arguments {
                Some(arguments) => {
                    let value = gate(cell, kind, arguments, logic)?;
                    known.insert(output.clone(), value);
                }
                None => later.push(instance),
            }
        }
        if later.len() == before {
            return Err(LibertyError::cell(
                cell,
                "its Verilog has a loop or a net that nothing drives",
            ));
        }
        waiting = later;
    }
    for output in &logic.outputs {
        let function = known.get(output).cloned();
        logic.functions.push(function.ok_or_else(|| {
            LibertyError::cell(
                cell,
                format!("nothing drives output '{output}' in its Verilog"),
            )
        })?);
    }
    Ok(())
}

/// Value of one primitive.
fn gate(
    cell: &str,
    kind: &str,
    mut arguments: Vec<Expression>,
    logic: &mut Logic,
) -> Result<Expression, LibertyError> {
    let primitive = kind.strip_prefix("sky130_fd_sc_hd__udp_").unwrap_or(kind);
    let single = |arguments: Vec<Expression>| arguments.into_iter().next();
    let value = match (primitive, arguments.len()) {
        ("buf", 1) => single(arguments),
        ("not", 1) => single(arguments).map(Expression::not),
        ("and", 2..) => Some(And(arguments)),
        ("nand", 2..) => Some(And(arguments).not()),
        ("or", 2..) => Some(Or(arguments)),
        ("nor", 2..) => Some(Or(arguments).not()),
        ("xor", 2..) => Some(Xor(arguments)),
        ("xnor", 2..) => Some(Xor(arguments).not()),
        ("pullup", 0) => Some(Constant(true)),
        ("pulldown", 0) => Some(Constant(false)),
        ("mux_2to1", 3) => select(arguments),
        ("mux_2to1_N", 3) => select(arguments).map(Expression::not),
        ("mux_4to2", 6) => {
            let (low, high) = (arguments.remove(4), arguments.remove(4));
            let rest = arguments.split_off(2);
            let half = |mut data: Vec<Expression>| {
                data.push(low.clone());
                select(data)
            };
            match (half(arguments), half(rest)) {
                (Some(first), Some(second)) => select(vec![first, second, high]),
                _ => None,
            }
        }
        ("dff$P", 2) => match (arguments.pop(), arguments.pop()) {
            (Some(Input(clock)), Some(next)) if logic.flip_flop.is_none() => {
                logic.flip_flop = Some(FlipFlop { clock, next });
                Some(Input(STATE.into()))
            }
            _ => None,
        },
        _ => None,
    };
    value.ok_or_else(|| {
        LibertyError::cell(
            cell,
            format!("primitive '{kind}' of its Verilog is not known to this stage"),
        )
    })
}

/// `[a, b, s]`: a where s is 0, b where it is 1.
fn select(arguments: Vec<Expression>) -> Option<Expression> {
    let [zero, one, choice] = <[Expression; 3]>::try_from(arguments).ok()?;
    Some(Or(vec![
        And(vec![zero, choice.clone().not()]),
        And(vec![one, choice]),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "module other (\n Y\n);\n output Y;\nendmodule\nmodule nand2b (\n    Y  ,\n    A_N,\n    B\n);\n\n    // Module ports\n    output Y  ;\n    input  A_N;\n    input  B  ;\n    wire not0_out ;\n    buf buf0 (Y        , or0_out_Y      );\n    or  or0  (or0_out_Y, not0_out, A_N  );\n    not not0 (not0_out , B              );\nendmodule\nmodule flop (Q, CLK, D, SCD, SCE);\n output Q; input CLK; input D; input SCD; input SCE;\n sky130_fd_sc_hd__udp_mux_2to1 m (mux_out, D, SCD, SCE);\n sky130_fd_sc_hd__udp_dff$P `UNIT_DELAY dff0 (buf_Q , mux_out, CLK);\n buf b (Q, buf_Q);\nendmodule\n";

    #[test]
    fn gates_are_substituted_in_any_order() {
        let logic = read(TEXT, "nand2b").unwrap();
        assert_eq!(logic.inputs, ["A_N", "B"]);
        assert_eq!(logic.functions[0].to_string(), "!B | A_N");
    }

    #[test]
    fn a_scan_flip_flop_keeps_its_multiplexer_in_the_next_state() {
        let logic = read(TEXT, "flop").unwrap();
        let flip_flop = logic.flip_flop.unwrap();
        assert_eq!(flip_flop.clock, "CLK");
        assert_eq!(flip_flop.next.to_string(), "(D & !SCE) | (SCD & SCE)");
        assert_eq!(logic.functions, [Input(STATE.into())]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(read(TEXT, "absent").is_err());
        let text = "module x (Y, A);\n output Y; input A;\n magic m (Y, A);\nendmodule\n";
        assert!(read(text, "x").unwrap_err().to_string().contains("magic"));
        let text = "module x (Y, A);\n output Y; input A;\n buf m (Y, B);\nendmodule\n";
        assert!(read(text, "x").unwrap_err().to_string().contains("drives"));
    }
}
