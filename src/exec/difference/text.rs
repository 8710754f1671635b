//! Texts: netlists, tables, reports.

use super::short;

/// `None` if one of them is no text.
pub fn lines(old: &[u8], new: &[u8]) -> Option<String> {
    let text = |bytes| {
        std::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains('\0'))
    };
    let (old, new) = (text(old)?, text(new)?);
    let (mut before, mut after) = (old.split('\n'), new.split('\n'));
    for number in 1.. {
        match (before.next(), after.next()) {
            (Some(before), Some(after)) if before == after => {}
            (Some(before), Some(after)) => {
                return Some(format!("at line {number}: {}", apart(before, after)));
            }
            (Some(_), None) => {
                return Some(format!(
                    "at line {number}, which is not there the second time"
                ))
            }
            (None, Some(_)) => {
                return Some(format!(
                    "at line {number}, which is there only the second time"
                ))
            }
            (None, None) => return None,
        }
    }
    None
}

/// Both lines; of long ones that which is around their first difference.
fn apart(before: &str, after: &str) -> String {
    const BEFORE: usize = 30;
    let same = before
        .chars()
        .zip(after.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let from = match before.chars().count().max(after.chars().count()) > 80 {
        true => same.saturating_sub(BEFORE),
        false => 0,
    };
    let part = |line: &str| {
        let dots = if from > 0 { "…" } else { "" };
        format!(
            "{dots}{}",
            short(&line.chars().skip(from).collect::<String>())
        )
    };
    let (old, new) = (part(before), part(after));
    if old == new {
        return format!("'{old}', in blanks at column {}", same + 1);
    }
    format!("'{old}', then '{new}'")
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn the_line_is_told() {
        let told = |old: &str, new: &str| lines(old.as_bytes(), new.as_bytes()).expect("texts");
        assert_eq!(
            told("a\nwire b;\nc\n", "a\nwire d;\nc\n"),
            "at line 2: 'wire b;', then 'wire d;'"
        );
        assert_eq!(
            told("a\nb", "a"),
            "at line 2, which is not there the second time"
        );
        assert_eq!(
            told("a", "a\n"),
            "at line 2, which is there only the second time"
        );
        let long = "x".repeat(200);
        let told = told(&format!("{long}1"), &format!("{long}2"));
        assert!(
            told.ends_with("x1', then '…".to_string().as_str()) || told.contains("x1', then '…x"),
            "{told}"
        );
        assert!(lines(b"a\0", b"b\0").is_none());
        assert!(lines(b"\xff", b"\xfe").is_none());
    }
}
