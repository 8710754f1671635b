//! Scratch files that programs make in `/tmp` by that name are the stage's own, and nothing of them is left there.

use crate::common::Flow;

/// A flow with one stage that runs this Python program; `NAME` in it is a name that no one else uses.
fn flow(program: &str, more: &str) -> Flow {
    let flow = Flow::new(&format!(
        "version: 1\nstages:\n  a: {{ run: 'python3 {{{{ inputs.p }}}} > {{{{ outputs.o }}}}', inputs: {{ p: p.py }}, outputs: {{ o: o.txt }}{more} }}\n"
    ));
    let folder = flow.path("").to_string_lossy().into_owned();
    let program = program
        .replace("NAME", &name(&flow))
        .replace("FLOW", folder.trim_end_matches('/'));
    flow.write("p.py", format!("import ctypes, os\n{program}"));
    flow.write("secret.txt", "undeclared\n");
    flow
}

fn name(flow: &Flow) -> String {
    let folder = flow.path("");
    let own = folder.file_name().unwrap_or_default().to_string_lossy();
    format!("scratch-{}", own.trim_start_matches('.'))
}

const TMPFILE: &str = r"
c = ctypes.CDLL(None)
c.tmpfile.restype = ctypes.c_void_p
file = ctypes.c_void_p(c.tmpfile())
assert file, 'tmpfile() failed'
c.fputs(b'kept', file)
c.rewind(file)
read = ctypes.create_string_buffer(9)
c.fgets.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
c.fgets(read, 9, file)
print(read.value.decode(), os.readlink(f'/proc/self/fd/{c.fileno(file)}'))
";

#[test]
fn the_c_librarys_tmpfile_works() {
    let flow = flow(TMPFILE, "");
    flow.expect(0, &["run"]);
    let told = flow.read("artifacts/a/o.txt");
    let place = flow.path("cache/work").canonicalize().expect("a folder");
    let expected = format!("kept {}", place.display());
    assert!(told.starts_with(&expected), "{told} is not in {expected}");
    // Told about it, one would look for something to mend; in the mode that refuses nothing it lies where the program put it.
    flow.edit("outputs:", "sandbox: report, outputs:");
    let said = flow.expect(0, &["run", "--force"]);
    assert!(!said.stderr.contains("/tmp"), "{}", said.stderr);
    let told = flow.read("artifacts/a/o.txt");
    assert!(told.starts_with("kept /tmp/"), "{told}");
}

const NAMED: &str = r"
name = '/tmp/NAME'
made = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
os.write(made, b'12345')
assert os.stat(name).st_size == 5 and os.stat(name).st_ino == os.fstat(made).st_ino
assert os.path.lexists(name) and os.access(name, os.R_OK) and not os.access(name, os.X_OK)
assert open(name).read() == '12345'
open(name, 'w').write('123')
assert os.system(f'test 3 = $(cat {name} | wc -c)') == 0
try:
    os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    assert False
except FileExistsError:
    pass
os.unlink(name)
assert not os.path.lexists(name)
try:
    open(name)
    assert False
except FileNotFoundError:
    pass
assert os.fstat(made).st_nlink == 0
os.open(name + '-left', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
os.open(name + '-again', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
open(name + '-again', 'w').write('x')
print('good')
";

#[test]
fn new_files_in_tmp_are_the_stages_own() {
    let flow = flow(NAMED, "");
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/a/o.txt"), "good\n");
    for end in ["", "-left", "-again"] {
        let left = format!("/tmp/{}{end}", name(&flow));
        assert!(!std::path::Path::new(&left).exists(), "{left} was left");
    }
}

/// The stage fails, and the message has these words.
fn refused(program: &str, words: &str) {
    let flow = flow(program, "");
    let said = flow.expect(1, &["run"]);
    let words = words.replace("NAME", &name(&flow));
    assert!(said.stderr.contains(&words), "{words}: {}", said.stderr);
    let made = format!("/tmp/{}", name(&flow));
    assert!(!std::path::Path::new(&made).exists(), "{made} was made");
}

#[test]
fn other_uses_of_tmp_are_refused_by_name() {
    let told = "the sandbox refused writing /tmp/NAME";
    refused("open('/tmp/NAME', 'w')", told);
    refused("open('/tmp/NAME', 'a')", told);
    refused("os.mkdir('/tmp/NAME')", told);
    let made = "os.open('/tmp/NAME', os.O_RDWR | os.O_CREAT | os.O_EXCL)\n";
    refused(&format!("{made}os.rename('/tmp/NAME', 'moved')"), told);
    let told = "the sandbox refused changing mode, owner or times of /tmp/NAME";
    refused(&format!("{made}os.chmod('/tmp/NAME', 0o777)"), told);
    let told = "the sandbox refused running /tmp/NAME";
    refused(&format!("{made}os.execv('/tmp/NAME', ['x'])"), told);
    refused(
        "print(open('FLOW/secret.txt').read())",
        "the sandbox refused reading ",
    );
}

#[test]
fn a_stage_gets_no_further_through_its_guard() {
    // Links in place of what the guard made, of its folder, and a pipe for which it would wait.
    for program in [
        "os.open('/tmp/NAME', os.O_RDWR | os.O_CREAT | os.O_EXCL)
own = os.environ['TMPDIR'] + '/NAME'
os.unlink(own)
os.symlink('FLOW/secret.txt', own)
print(open('/tmp/NAME').read())",
        "os.open('/tmp/NAME', os.O_RDWR | os.O_CREAT | os.O_EXCL)
own = os.environ['TMPDIR'] + '/NAME'
os.unlink(own)
os.symlink('FLOW/secret.txt', own)
open('/tmp/NAME', 'w').write('changed')",
        "os.open('/tmp/NAME', os.O_RDWR | os.O_CREAT | os.O_EXCL)
own = os.environ['TMPDIR'] + '/NAME'
os.unlink(own)
os.mkfifo(own)
open('/tmp/NAME').read()",
    ] {
        let flow = flow(program, "");
        flow.expect(1, &["run"]);
        assert_eq!(flow.read("secret.txt"), "undeclared\n", "{program}");
        let log = flow.expect(0, &["log", "a"]).stdout;
        assert!(!log.contains("undeclared"), "{log}");
    }
    let moved = "own = os.environ['TMPDIR']
os.rename(own, own + '-moved')
os.symlink('FLOW', own)
os.open('/tmp/NAME', os.O_RDWR | os.O_CREAT | os.O_EXCL)
print(os.path.exists(own + '-moved/NAME'))";
    let flow = flow(moved, "");
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/a/o.txt"), "True\n");
    assert!(!flow.path(&name(&flow)).exists());
}
