//! What a stage may not reach is refused and told; what it may reach works as everywhere.

use std::os::unix::fs::PermissionsExt;

use crate::common::{events, Flow, Said};

/// A flow with one stage that runs this line; `FLOW` in it is the flow's folder.
fn flow(line: &str, more: &str) -> Flow {
    let flow = Flow::new("");
    let line = line.replace("FLOW", &flow.path("").to_string_lossy());
    flow.write("line", line.trim_end_matches('/'));
    let quoted = serde_json::to_string(&line).expect("text");
    flow.write(
        "flow.yaml",
        format!("version: 1\nstages:\n  a: {{ run: {quoted}, outputs: {{ o: o.txt }}{more} }}\n"),
    );
    flow.write("secret.txt", "undeclared\n");
    flow
}

/// Whether the kernel can refuse at all; says so if not.
fn can_refuse() -> bool {
    let said = flow("echo x > {{ outputs.o }}", "").expect(0, &["run"]);
    let lacks = said.stderr.contains("not kept from files");
    if lacks {
        eprintln!("skipped: {}", said.stderr);
    }
    !lacks
}

fn refused(line: &str) -> (Flow, Said) {
    let flow = flow(line, "");
    let said = flow.expect(1, &["run"]);
    assert!(
        said.stderr.contains("the sandbox refused "),
        "{line}: {}",
        said.stderr
    );
    (flow, said)
}

fn says(said: &Said, words: &str) {
    assert!(
        said.stderr.contains(words),
        "not '{words}': {}",
        said.stderr
    );
}

#[test]
fn an_undeclared_file_is_refused_with_the_line_to_add() {
    if !can_refuse() {
        return;
    }
    let (flow, said) = refused("cat FLOW/secret.txt > {{ outputs.o }}");
    says(
        &said,
        &format!("reading {}", flow.path("secret.txt").display()),
    );
    says(
        &said,
        "add to stage 'a' in the flow file: inputs: { secret: secret.txt }",
    );
    let log = flow.expect(0, &["log", "a"]).stdout;
    assert!(log.contains("the sandbox refused reading"), "{log}");
    // That line is right.
    flow.edit("cat", "true; cat {{ inputs.secret }} #");
    flow.edit("outputs:", "inputs: { secret: secret.txt }, outputs:");
    flow.edit("> {{ outputs.o }}", "");
    flow.edit(
        "{{ inputs.secret }} #",
        "{{ inputs.secret }} > {{ outputs.o }} #",
    );
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/a/o.txt"), "undeclared\n");
}

#[test]
fn a_refusal_fails_the_stage_even_if_it_goes_on() {
    if !can_refuse() {
        return;
    }
    let (flow, said) = refused("cat FLOW/secret.txt || true; echo x > {{ outputs.o }}");
    says(&said, "though the stage went on");
    assert_eq!(flow.states(), ["a=failed"]);
    assert!(!flow.path("artifacts/a/o.txt").exists());
    // The real place is told, not the link to it.
    let (flow, said) = refused("ln -s FLOW/secret.txt l; cat l > {{ outputs.o }}");
    says(
        &said,
        &format!("reading {}", flow.path("secret.txt").display()),
    );
    // Nor is a second name a way in.
    refused("ln FLOW/secret.txt l && cat l > {{ outputs.o }}");
    // One that is looked for before it is read is not there; why is told.
    let (flow, said) = refused("cp FLOW/secret.txt {{ outputs.o }}");
    says(
        &said,
        &format!("to show {}", flow.path("secret.txt").display()),
    );
    says(&said, "inputs: { secret: secret.txt }");
    // What another stage made is told as that.
    let (flow, _) = refused("cat FLOW/secret.txt");
    flow.write(
        "flow.yaml",
        format!(
            "version: 1\nstages:\n  p: {{ run: 'echo 1 > {{{{ outputs.o }}}}', outputs: {{ o: x/o.txt }} }}\n  a: {{ run: 'cat {}/artifacts/p/x/o.txt > {{{{ outputs.o }}}}', outputs: {{ o: o.txt }} }}\n",
            flow.path("").display()
        ),
    );
    flow.expect(0, &["run", "p"]);
    says(&flow.expect(1, &["run", "a"]), "inputs: { o: p.o }");
}

#[test]
fn neither_temporary_nor_home_folders_are_seen() {
    if !can_refuse() {
        return;
    }
    let other = tempfile::tempdir().expect("a folder");
    let file = other.path().join("left.txt");
    std::fs::write(&file, "left\n").expect("a file");
    refused("ls /tmp > {{ outputs.o }}");
    let (_, said) = refused(&format!("cat {} > {{{{ outputs.o }}}}", file.display()));
    says(&said, &format!("reading {}", file.display()));
    if let Some(home) = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
    {
        refused(&format!(
            "ls -A {} > {{{{ outputs.o }}}}",
            home.dir.display()
        ));
    }
    // Not even whether something is there; its own folders are there.
    let line = format!(
        "test ! -e {} && test ! -e FLOW/flow.yaml && test ! -f FLOW/secret.txt && test -d FLOW && cd $HOME && cd $TMPDIR && f=$(mktemp) && echo own > $f && cat $f > ../{{{{ outputs.o }}}}",
        file.display()
    );
    let seen = flow(&line, "");
    seen.expect(0, &["run"]);
    assert_eq!(seen.read("artifacts/a/o.txt"), "own\n");
}

#[test]
fn nothing_outside_is_changed() {
    if !can_refuse() {
        return;
    }
    for line in [
        "echo x > FLOW/new.txt",
        "echo x >> FLOW/flow.yaml",
        "rm -f FLOW/secret.txt",
        "mv FLOW/secret.txt moved",
        "mkdir FLOW/folder",
        "chmod 600 FLOW/secret.txt",
        "touch -d 2001-01-01 FLOW/secret.txt",
        "ln -s x FLOW/link",
        "truncate -s 0 FLOW/secret.txt",
        "echo x > FLOW/cache/new",
        "rm -rf FLOW/cache/objects",
        "mknod device b 8 0; cat device",
    ] {
        let flow = flow(&format!("{line}; echo x > {{{{ outputs.o }}}}"), "");
        let set =
            std::fs::set_permissions(flow.path("secret.txt"), PermissionsExt::from_mode(0o644));
        set.expect("a mode");
        let before = flow.path("secret.txt").metadata().expect("a file");
        let written = flow.read("flow.yaml");
        let said = flow.run(&["run"]);
        // The file that is to be changed is not even seen by some.
        let unseen =
            line.starts_with("mknod") || line.starts_with("chmod") || line.starts_with("mv");
        assert!(said.code == 1 || unseen, "{line}: {}", said.stderr);
        assert_eq!(flow.read("flow.yaml"), written, "{line}");
        assert_eq!(flow.read("secret.txt"), "undeclared\n", "{line}");
        let after = flow.path("secret.txt").metadata().expect("a file");
        assert_eq!(after.permissions(), before.permissions(), "{line}");
        assert_eq!(
            after.modified().expect("a time"),
            before.modified().expect("a time"),
            "{line}"
        );
        for name in ["new.txt", "folder", "link", "cache/new"] {
            assert!(
                flow.path(name).symlink_metadata().is_err(),
                "{line}: {name}"
            );
        }
        assert!(flow.path("cache/objects").is_dir(), "{line}");
    }
}

#[test]
fn inputs_are_not_changed() {
    if !can_refuse() {
        return;
    }
    let flow = flow(
        "echo x >> {{ inputs.i }} ; chmod 777 {{ inputs.i }}; false",
        ", inputs: { i: secret.txt }",
    );
    let said = flow.expect(1, &["run"]);
    says(&said, "the sandbox refused writing ");
    // A copy is the stage's own.
    flow.edit(
        "echo x >> {{ inputs.i }} ; chmod 777 {{ inputs.i }}; false",
        "cp {{ inputs.i }} c; chmod u+w c; echo x >> c; mv c {{ outputs.o }}",
    );
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/a/o.txt"), "undeclared\nx\n");
}

#[test]
fn the_network_is_for_stages_that_ask() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let line =
        format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' && echo x > {{{{ outputs.o }}}}");
    let flow = flow(&line, "");
    let said = flow.expect(1, &["run"]);
    says(&said, "the network (a socket, IPv4)");
    says(&said, "network: true");
    flow.edit("outputs:", "network: true, outputs:");
    flow.expect(0, &["run"]);
    // Datagrams too, and programs that go on without.
    let udp = "bash -c 'echo x > /dev/udp/127.0.0.1/9' ; echo x > {{ outputs.o }}";
    let flow = self::flow(udp, "");
    says(&flow.expect(1, &["run"]), "the network");
}

#[test]
fn report_tells_and_goes_on() {
    let flow = flow("cat FLOW/secret.txt > {{ outputs.o }}", ", sandbox: report");
    let said = flow.expect(0, &["run", "--json"]);
    let path = flow.path("secret.txt").display().to_string();
    let events = events(&said.stdout);
    let told = events
        .iter()
        .find(|event| event["event"] == "stage-reached");
    let told = told.expect("an event");
    assert_eq!(told["path"], path.as_str());
    assert_eq!(told["stage"], "a");
    assert!(told["hint"]
        .as_str()
        .is_some_and(|hint| hint.contains("inputs: { secret: secret.txt }")));
    assert_eq!(flow.read("artifacts/a/o.txt"), "undeclared\n");
    says(
        &flow.expect(0, &["run", "--force"]),
        &format!("reading {path}"),
    );
    // How a stage is kept in is no part of what it makes.
    flow.edit("sandbox: report", "sandbox: off");
    assert_eq!(flow.outcomes(&[]), ["a=cached"]);
}

#[test]
fn a_stage_says_more_than_its_flow() {
    if !can_refuse() {
        return;
    }
    let flow = flow("cat FLOW/secret.txt > {{ outputs.o }}", "");
    flow.edit("stages:", "sandbox: off\nstages:");
    flow.expect(0, &["run"]);
    flow.edit("outputs:", "sandbox: enforce, outputs:");
    flow.expect(1, &["run", "--force"]);
    flow.edit(
        "sandbox: enforce, outputs:",
        "sandbox: { mode: enforce, read: [secret.txt] }, outputs:",
    );
    flow.expect(0, &["run", "--force"]);
    flow.edit(
        "sandbox: off",
        "env: [PLACE]\nsandbox: { read: [$PLACE/secret.txt] }",
    );
    flow.edit("sandbox: { mode: enforce, read: [secret.txt] }, ", "");
    flow.expect(1, &["run", "--force"]);
    let mut command = flow.command();
    command.env("PLACE", flow.path("")).args(["run", "--force"]);
    assert_eq!(crate::common::said(&mut command).code, 0);
    // Faults.
    flow.edit("$PLACE/secret.txt", "$OTHER/secret.txt");
    says(&flow.expect(2, &["run"]), "variable that stages do not get");
    flow.edit("{ read: [$OTHER/secret.txt] }", "inforce");
    let said = flow.expect(2, &["run"]);
    says(
        &said,
        "'sandbox' must be 'enforce', 'report' or 'off', not 'inforce'",
    );
    says(&said, "enforce'?");
}

#[test]
fn a_small_change_is_run_under_the_flows_own_setting() {
    if !can_refuse() {
        return;
    }
    for setting in ["sandbox: off", "sandbox: { read: [secret.txt] }"] {
        let flow = flow(
            "cat FLOW/secret.txt {{ inputs.i }} > {{ outputs.o }}",
            ", inputs: { i: i.txt }",
        );
        flow.edit("stages:", &format!("{setting}\nstages:"));
        // From the second run on, only what can have changed is gone through.
        for version in 0..3 {
            flow.write("i.txt", format!("{version}\n"));
            flow.expect(0, &["run"]);
            let made = format!("undeclared\n{version}\n");
            assert_eq!(flow.read("artifacts/a/o.txt"), made, "{setting}");
        }
    }
}

/// The stage's own program starts unjudged; what that starts does not.
#[test]
fn an_undeclared_program_is_refused() {
    if !can_refuse() {
        return;
    }
    let flow = flow("FLOW/tool || true; echo x > {{ outputs.o }}", "");
    flow.write("tool", "#!/bin/sh\necho y\n");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(flow.path("tool"), mode).expect("a program");
    let said = flow.expect(1, &["run"]);
    let path = flow.path("tool");
    assert!(
        said.stderr
            .contains(&format!("the sandbox refused running {}", path.display())),
        "{}",
        said.stderr
    );
}

#[test]
fn what_programs_need_is_there() {
    let lines = [
        "python3 -c 'import json, sys, tempfile; tempfile.NamedTemporaryFile(); print(1)' > {{ outputs.o }}",
        "echo x | tee /dev/stderr > /dev/null; echo y > /dev/stdout; id > {{ outputs.o }}; ls /usr/bin > /dev/null",
        "mkdir -p $(pwd)/p/q && echo 1 > p/q/r && mv p/q/r {{ outputs.o }} && rm -r p && chmod 600 {{ outputs.o }}",
        "mkdir -p d/e && echo 1 > d/e/f && chmod 500 d/e && cp -rp d k && cp -r d l && echo x > {{ outputs.o }}; chmod 700 d/e k/e l/e",
        "sh -c 'kill -9 $$'; (exit 3); test $? = 3 && echo x > {{ outputs.o }}",
    ];
    for line in lines {
        flow(line, "").expect(0, &["run"]);
    }
}

/// Root may do what needs no more than owning files and changing who one is; nobody gets more by running another program.
#[test]
fn what_leads_around_the_walls_is_given_up() {
    let flow = flow(
        "grep ^Cap /proc/self/status > {{ outputs.o }}; sh -c 'grep ^Cap /proc/self/status' >> {{ outputs.o }}; \
         grep NoNewPrivs /proc/self/status >> {{ outputs.o }}",
        "",
    );
    flow.expect(0, &["run"]);
    let text = flow.read("artifacts/a/o.txt");
    let sets = |name: &str| -> Vec<u64> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines
            .map(|rest| u64::from_str_radix(rest.trim(), 16).expect("a number"))
            .collect()
    };
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP.
    let kept = 0b1_1111_1011;
    for name in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
        let found = sets(name);
        assert_eq!(found.len(), 2, "{text}");
        assert!(found.iter().all(|set| set & !kept == 0), "{text}");
    }
    assert!(text.contains("NoNewPrivs:\t1"), "{text}");
}

/// Nobody watches what is written to devices: the kernel's rules alone let in those that keep nothing.
#[test]
fn devices_are_not_written_to() {
    if !can_refuse() {
        return;
    }
    let file = format!("/dev/nanoflow-{}", std::process::id());
    let flow = flow(
        &format!("echo x > {file} || echo refused > {{{{ outputs.o }}}}; echo y > /dev/null; echo z >> {{{{ outputs.o }}}}"),
        "",
    );
    flow.expect(0, &["run"]);
    let made = std::fs::remove_file(&file).is_ok();
    assert!(!made, "{file}");
    assert_eq!(flow.read("artifacts/a/o.txt"), "refused\nz\n");
}
