//! What templates put in comes out of the real interpreters as it went in.

use crate::common::Flow;

const HOSTILE: [&str; 14] = [
    "plain",
    "two words",
    "",
    "it's",
    "say \"hi\"",
    "$HOME `id` $(id)",
    "back\\slash\\n",
    "[exec id] {a} }{",
    "a;b|c&d>e<f#g!h~i*j?k",
    "line\nbreak\ttab",
    "#{1+1} #$0 %d %s",
    "ünïcode ☃",
    "-n",
    "trailing\\",
];

/// A wrapper whose only step runs a rendered script that writes every word, ended by a record separator, to the output.
fn comes_out(interpreter: &str, file: &str, script: &str, words: &[&str]) {
    if which::which(interpreter).is_err() {
        eprintln!("skipped: there is no {interpreter}");
        return;
    }
    let params: String = words
        .iter()
        .enumerate()
        .map(|(n, word)| format!("      w{n}: {}\n", serde_json::json!(word)))
        .collect();
    let names: String = words
        .iter()
        .enumerate()
        .map(|(n, _)| format!(", w{n}: ''"))
        .collect();
    let flow = Flow::new(&format!("version: 1\nstages:\n  a:\n    wrapper: w\n    outputs: {{ o: out.txt }}\n    params:\n{params}"));
    flow.write(
        "tool-wrappers/w/wrapper.yaml",
        format!("version: 1\nparams: {{ unused: 1{names} }}\noutputs: {{ o: required }}\nfiles: [{file}]\nsteps: [[{interpreter}, {file}]]\n"),
    );
    let body: String = words
        .iter()
        .enumerate()
        .map(|(n, _)| script.replace("W", &format!("w{n}")))
        .collect();
    flow.write(&format!("tool-wrappers/w/{file}"), body);
    let said = flow.run(&["run"]);
    assert_eq!(
        said.code,
        0,
        "{interpreter}: {}\n{}",
        said.stderr,
        flow.run(&["log", "a"]).stdout
    );
    let text = flow.read("artifacts/a/out.txt");
    let got: Vec<&str> = text.split('\u{1e}').collect();
    let wanted: Vec<&str> = words.iter().copied().chain([""]).collect();
    assert_eq!(got, wanted, "{interpreter} {script}");
}

#[test]
fn shell() {
    for script in [
        "printf '%s\\036' {{ params.W }} >> out.txt # it's {{ params.unused }}\n",
        "printf '%s\\036' \"{{ params.W }}\" >> out.txt\n",
        "printf '%s\\036' '{{ params.W }}' >> out.txt\n",
        "printf '%s\\036' \"$(printf '%s.' {{ params.W }})\" | sed 's/\\.\\x1e$/\\x1e/' >> out.txt\n",
    ] {
        comes_out("sh", "x.sh", script, &HOSTILE);
    }
    let lines: Vec<&str> = HOSTILE
        .iter()
        .copied()
        .filter(|word| !word.contains('\n'))
        .collect();
    comes_out(
        "sh",
        "x.sh",
        "{ cat <<END | tr '\\n' '\\036'; } >> out.txt\n{{ params.W }}\nEND\n",
        &lines,
    );
    comes_out(
        "sh",
        "x.sh",
        "{ cat <<'END' | tr '\\n' '\\036'; } >> out.txt\n{{ params.W }}\nEND\n",
        &lines,
    );
}

#[test]
fn tcl() {
    let open = "set f [open out.txt a]; fconfigure $f -encoding utf-8 -translation lf; ";
    let utf8: Vec<&str> = HOSTILE
        .iter()
        .copied()
        .filter(|word| word.is_ascii())
        .collect();
    comes_out(
        "tclsh",
        "x.tcl",
        &format!(
            "{open}puts -nonewline $f {{{{ params.W }}}}; puts -nonewline $f \\x1e; close $f\n"
        ),
        &utf8,
    );
    comes_out("tclsh", "x.tcl", &format!("{open}puts -nonewline $f \"{{{{ params.W }}}}\\x1e\"; close $f ;# \"it {{{{ params.unused }}}}\n"), &utf8);
}

#[test]
fn python_and_ruby() {
    let python = "open('out.txt', 'a', newline='', encoding='utf-8').write(Q{{ params.W }}Q + '\\x1e') # it's\n";
    let ruby = "File.open('out.txt', 'a') { |f| f.write(Q{{ params.W }}Q + \"\\x1e\") } # it's\n";
    for quote in ["", "\"", "'"] {
        comes_out("python3", "x.py", &python.replace('Q', quote), &HOSTILE);
        comes_out("ruby", "x.rb", &ruby.replace('Q', quote), &HOSTILE);
    }
}

#[test]
fn json_yaml_and_verilog() {
    let read = "import json; print(end=json.load(open('x.json'))['w'] + '\\x1e')";
    for (file, text, reader) in [
        ("x.json", "{\"w\": {{ params.w }}}\n", read),
        ("x.json", "{\"w\": \"{{ params.w }}\"}\n", read),
    ] {
        for word in HOSTILE {
            let flow = Flow::new(&format!("version: 1\nstages: {{ a: {{ wrapper: w, outputs: {{ o: out.txt }}, params: {{ w: {} }} }} }}\n", serde_json::json!(word)));
            flow.write("tool-wrappers/w/wrapper.yaml", format!("version: 1\nparams: {{ w: 1 }}\noutputs: {{ o: required }}\nfiles: [{file}]\nsteps: [[cp, {file}, out.txt]]\n"));
            flow.write(&format!("tool-wrappers/w/{file}"), text);
            flow.expect(0, &["run"]);
            let value: serde_json::Value =
                serde_json::from_str(&flow.read("artifacts/a/out.txt")).expect("JSON");
            assert_eq!(value["w"], *word, "{reader}");
        }
    }
    for (word, text) in HOSTILE.iter().flat_map(|word| {
        [
            "w: {{ params.w }}\n",
            "w: \"{{ params.w }}\" # it's\n",
            "w: '{{ params.w }}'\n",
        ]
        .map(|text| (*word, text))
    }) {
        if text.contains('\'') && word.contains(['\n', '\t']) && text.starts_with("w: '") {
            continue;
        }
        let flow = Flow::new(&format!("version: 1\nstages: {{ a: {{ wrapper: w, outputs: {{ o: out.txt }}, params: {{ w: {} }} }} }}\n", serde_json::json!(word)));
        flow.write("tool-wrappers/w/wrapper.yaml", "version: 1\nparams: { w: 1 }\noutputs: { o: required }\nfiles: [x.yaml]\nsteps: [[cp, x.yaml, out.txt]]\n");
        flow.write("tool-wrappers/w/x.yaml", text);
        flow.expect(0, &["run"]);
        let value: serde_json::Value =
            serde_yaml::from_str(&flow.read("artifacts/a/out.txt")).expect("YAML");
        assert_eq!(value["w"], *word, "{text}");
    }
    if which::which("iverilog").is_err() {
        eprintln!("skipped: there is no iverilog");
        return;
    }
    let words: Vec<&str> = HOSTILE
        .iter()
        .copied()
        .filter(|word| word.is_ascii() && !word.is_empty())
        .collect();
    for quote in ["", "\""] {
        let params: String = words
            .iter()
            .enumerate()
            .map(|(n, word)| format!("      w{n}: {}\n", serde_json::json!(word)))
            .collect();
        let names: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(n, _)| format!("w{n}: ''"))
            .collect();
        let flow = Flow::new(&format!("version: 1\nstages:\n  a:\n    wrapper: w\n    outputs: {{ o: out.txt }}\n    params:\n{params}"));
        flow.write("tool-wrappers/w/wrapper.yaml", format!("version: 1\nparams: {{ {} }}\noutputs: {{ o: required }}\nfiles: [x.v]\nsteps: [[iverilog, -o, x.vvp, x.v], [sh, -c, 'vvp -n x.vvp > out.txt']]\n", names.join(", ")));
        let body: String = words
            .iter()
            .enumerate()
            .map(|(n, _)| {
                format!("$write(\"%0s\\036\", {quote}{{{{ params.w{n} }}}}{quote}); // it's \"\n")
            })
            .collect();
        flow.write(
            "tool-wrappers/w/x.v",
            format!("module x; initial begin\n{body}end endmodule\n"),
        );
        let said = flow.run(&["run"]);
        assert_eq!(
            said.code,
            0,
            "{}\n{}",
            said.stderr,
            flow.run(&["log", "a"]).stdout
        );
        let text = flow.read("artifacts/a/out.txt");
        let got: Vec<&str> = text.split('\u{1e}').collect();
        assert_eq!(got[..words.len()], words[..], "{quote}");
    }
}

#[test]
fn command_lines() {
    for (number, word) in HOSTILE.iter().enumerate() {
        let flow = Flow::new(&format!(
            "version: 1\nstages:\n  a:\n    run: |\n      printf %s {{{{ params.w }}}} \"{{{{ params.w }}}}\" > {{{{ outputs.o }}}} # it's\n    params: {{ w: {0} }}\n    outputs: {{ o: 'o u\"t''s.txt' }}\n  b: {{ run: [printf, '%s', '{{{{ params.w }}}}'], params: {{ w: {0} }} }}\n",
            serde_json::json!(word)
        ));
        flow.expect(0, &["run"]);
        assert_eq!(
            flow.read("artifacts/a/o u\"t's.txt"),
            word.repeat(2),
            "{number}"
        );
        assert_eq!(flow.expect(0, &["log", "b"]).stdout, *word);
    }
}
