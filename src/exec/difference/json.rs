//! JSON documents: the pointer (RFC 6901) of the first value that differs.

use serde_json::Value;

use super::short;

/// `None` if one of them is no JSON object or array, or they differ only in how they are written.
pub fn document(old: &[u8], new: &[u8]) -> Option<String> {
    let parse = |bytes: &[u8]| -> Option<Value> {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace())?;
        matches!(first, b'{' | b'[')
            .then(|| serde_json::from_slice(bytes).ok())
            .flatten()
    };
    let (old, new) = (parse(old)?, parse(new)?);
    let mut pointer = String::new();
    let told = walk(&old, &new, &mut pointer)?;
    let place = if pointer.is_empty() {
        "at the top".to_string()
    } else {
        format!("at {pointer}")
    };
    Some(format!("{place}: {told}"))
}

fn walk(old: &Value, new: &Value, pointer: &mut String) -> Option<String> {
    let length = pointer.len();
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                let told = one(before.get(name), after.get(name), pointer);
                if told.is_some() {
                    return told;
                }
                pointer.truncate(length);
            }
            None
        }
        (Value::Array(before), Value::Array(after)) => {
            for index in 0..before.len().max(after.len()) {
                pointer.push_str(&format!("/{index}"));
                let told = one(before.get(index), after.get(index), pointer);
                if told.is_some() {
                    return told;
                }
                pointer.truncate(length);
            }
            None
        }
        _ if old == new => None,
        _ => Some(format!(
            "{}, then {}",
            short(&old.to_string()),
            short(&new.to_string())
        )),
    }
}

fn one(old: Option<&Value>, new: Option<&Value>, pointer: &mut String) -> Option<String> {
    match (old, new) {
        (Some(old), Some(new)) => walk(old, new, pointer),
        (Some(_), None) => Some("not there the second time".to_string()),
        (None, _) => Some("there only the second time".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::document;

    #[test]
    fn the_pointer_is_told() {
        let told = |old: &str, new: &str| document(old.as_bytes(), new.as_bytes());
        let place = |text: &str| Some(text.to_string());
        assert_eq!(
            told(r#"{"a": [1, {"b/c": 2}]}"#, r#"{"a": [1, {"b/c": 3}]}"#),
            place("at /a/1/b~1c: 2, then 3")
        );
        assert_eq!(
            told("[1, 2]", "[1]"),
            place("at /1: not there the second time")
        );
        assert_eq!(
            told("{}", r#"{"x": 1}"#),
            place("at /x: there only the second time")
        );
        assert_eq!(told("{}", "[]"), place("at the top: {}, then []"));
        assert_eq!(told(r#"{"a":1}"#, r#"{"a": 1}"#), None);
        assert_eq!(told("1", "2"), None);
    }
}
