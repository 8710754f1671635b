//! The seccomp filter: which system calls the guard is asked about.

use std::os::fd::{FromRawFd, OwnedFd};

use nix::libc;

use super::calls::{self, Use};
use super::Confine;

/// `AUDIT_ARCH_…` of linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
/// The lower half of an argument, on little-endian machines.
const fn argument(position: u32) -> u32 {
    16 + 8 * position
}

/// What marks the one `execve` by which the guard's child becomes the stage: numbers behind its arguments, which the kernel does
/// not read. The guard waits for that call, so it cannot judge it. Nobody can guess them, and each stage has others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark(pub [u64; 2]);

impl Mark {
    /// # Errors
    /// The kernel gives no random numbers.
    pub fn new() -> std::io::Result<Mark> {
        let mut bytes = [[0u8; 8]; 2];
        for part in &mut bytes {
            rustix::rand::getrandom(part.as_mut_slice(), rustix::rand::GetRandomFlags::empty())?;
        }
        Ok(Mark(bytes.map(u64::from_ne_bytes)))
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Allow,
    Judge,
    /// As if the kernel did not know it.
    Absent,
    /// Judged if it names a path; this argument has the flags.
    JudgePath {
        flags: u32,
    },
    /// Judged if it is not for talking on this machine.
    JudgeSocket,
    /// Judged if it is not the marked one.
    JudgeUnmarked(Mark),
}

/// The filter as a program for the kernel's packet machine.
struct Program {
    made: Vec<libc::sock_filter>,
    /// What the kernel does with a call that the guard judges.
    judged: u32,
}

impl Program {
    fn push(&mut self, code: u32, k: u32, jump_true: u8, jump_false: u8) {
        self.made.push(libc::sock_filter {
            code: u16::try_from(code).unwrap_or(0),
            jt: jump_true,
            jf: jump_false,
            k,
        });
    }
    fn load(&mut self, offset: u32) {
        self.push(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    }
    fn give(&mut self, result: u32) {
        self.push(libc::BPF_RET | libc::BPF_K, result, 0, 0);
    }
    /// The next instruction is for what was loaded if it is `value`; else it is left out.
    fn if_equal(&mut self, value: u32) {
        self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, 1);
    }
    /// The same for anything but `value`.
    fn unless_equal(&mut self, value: u32) {
        self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 1, 0);
    }

    /// What happens to the call whose number was loaded. `spans` are not empty: from which number on which fate.
    fn choose(&mut self, spans: &[(u32, Fate)]) {
        let (first, second) = spans.split_at(spans.len() / 2);
        let Some((start, fate)) = second.first() else {
            return;
        };
        if first.is_empty() {
            self.meet(*fate);
            return;
        }
        // Halved again and again: the kernel goes through the program for each of its calls when a stage starts.
        let place = self.made.len();
        self.push(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, *start, 0, 0);
        self.choose(first);
        let length = self.made.len() - place - 1;
        if let Some(jump) = self.made.get_mut(place) {
            // The kernel refuses a program with a jump that leads beyond its end, as one that does not fit here would.
            jump.jt = u8::try_from(length).unwrap_or(u8::MAX);
        }
        self.choose(second);
    }

    fn meet(&mut self, fate: Fate) {
        let allow = libc::SECCOMP_RET_ALLOW;
        match fate {
            Fate::Allow => self.give(allow),
            Fate::Judge => self.give(self.judged),
            Fate::Absent => self.give(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
            Fate::JudgePath { flags } => {
                self.load(argument(flags));
                let empty = libc::AT_EMPTY_PATH as u32;
                self.push(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, empty, 0, 1);
                self.give(allow);
                self.give(self.judged);
            }
            Fate::JudgeSocket => {
                self.load(argument(0));
                for local in [libc::AF_UNIX, libc::AF_NETLINK] {
                    self.if_equal(local as u32);
                    self.give(allow);
                }
                self.give(self.judged);
            }
            Fate::JudgeUnmarked(Mark(numbers)) => {
                for (number, position) in numbers.into_iter().zip(MARKED) {
                    for (half, offset) in [(number as u32, 0), ((number >> 32) as u32, 4)] {
                        self.load(argument(position) + offset);
                        self.unless_equal(half);
                        self.give(self.judged);
                    }
                }
                self.give(allow);
            }
        }
    }
}

/// Where a mark stands: behind the three arguments of `execve`.
const MARKED: [u32; 2] = [3, 4];

/// The fates of single calls as spans of numbers that share one, from 0 on.
fn spans(mut fates: Vec<(u32, Fate)>) -> Vec<(u32, Fate)> {
    fates.sort_by_key(|(number, _)| *number);
    let mut spans = vec![(0, Fate::Allow)];
    for (number, fate) in fates {
        if spans.last().is_some_and(|(start, _)| *start == number) {
            spans.pop();
        }
        if spans.last().is_none_or(|(_, last)| *last != fate) {
            spans.push((number, fate));
        }
        spans.push((number.saturating_add(1), Fate::Allow));
    }
    if cfg!(target_arch = "x86_64") {
        spans.push((X32, Fate::Absent));
    }
    spans
}

/// From here on the same calls have other numbers, for programs with short pointers, of which there are hardly any.
const X32: u32 = 0x4000_0000;

/// The ring does files and sockets without system calls; programs fall back to those where it is missing.
const RING: [libc::c_long; 3] = [
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Builds the filter. `judged` is what happens to a call that the guard judges.
fn program(
    wants: &Confine,
    architecture: u32,
    judged: u32,
    mark: Option<Mark>,
) -> Vec<libc::sock_filter> {
    let mut fates: Vec<(libc::c_long, Fate)> = RING.map(|number| (number, Fate::Absent)).into();
    if !wants.network {
        fates.push((libc::SYS_socket, Fate::JudgeSocket));
    }
    if let Some(mark) = mark {
        let asked = calls::all().filter(|(_, usage)| !matches!(usage, Use::Socket { .. }));
        fates.extend(asked.map(|(number, _)| match number {
            // `fstat` and its like name no path.
            libc::SYS_newfstatat => (number, Fate::JudgePath { flags: 3 }),
            libc::SYS_statx => (number, Fate::JudgePath { flags: 2 }),
            libc::SYS_execve => (number, Fate::JudgeUnmarked(mark)),
            _ => (number, Fate::Judge),
        }));
    }
    let numbered = |(number, fate)| (u32::try_from(number).unwrap_or(u32::MAX), fate);
    let spans = spans(fates.into_iter().map(numbered).collect());
    let mut program = Program {
        made: Vec::new(),
        judged,
    };
    program.load(ARCHITECTURE_AT);
    program.unless_equal(architecture);
    // Programs of another word length are left to Landlock.
    program.give(libc::SECCOMP_RET_ALLOW);
    program.load(NUMBER);
    program.choose(&spans);
    program.made
}

/// Puts this process under the filter, which lets the marked `execve` through. Gives the descriptor on which the guard is asked;
/// `None` if the kernel has no such thing, or someone else listens already: then the network alone is refused, without a word about
/// it.
///
/// # Errors
/// The kernel refuses the filter.
pub fn install(wants: &Confine, mark: Mark) -> std::io::Result<Option<OwnedFd>> {
    let Some(architecture) = ARCHITECTURE else {
        return Ok(None);
    };
    let asked = program(
        wants,
        architecture,
        libc::SECCOMP_RET_USER_NOTIF,
        Some(mark),
    );
    match load(asked, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER) {
        Ok(file) if file >= 0 => {
            // SAFETY: the kernel just made this descriptor and nothing else owns it.
            return Ok(Some(unsafe { OwnedFd::from_raw_fd(file) }));
        }
        _ => {}
    }
    if wants.enforce && !wants.network {
        let refused = libc::SECCOMP_RET_ERRNO | libc::EACCES as u32;
        load(program(wants, architecture, refused, None), 0)?;
    }
    Ok(None)
}

fn load(mut program: Vec<libc::sock_filter>, flags: libc::c_ulong) -> std::io::Result<i32> {
    let whole = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(0),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the pointers are to a live program of the given length, which the kernel copies.
    let made = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const whole,
        )
    };
    match i32::try_from(made) {
        Ok(made) if made >= 0 => Ok(made),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const OURS: u32 = 0xC000_003E;

    /// What the kernel does with a call: the packet machine, as far as these programs use it.
    fn fate(program: &[libc::sock_filter], architecture: u32, number: u32, args: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => number,
            ARCHITECTURE_AT => architecture,
            _ => {
                let whole = args[(offset as usize - 16) / 8];
                (whole >> (8 * (offset % 8))) as u32
            }
        };
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            let jumps = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            match u32::from(step.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    loaded = word(step.k);
                }
                code if code == libc::BPF_RET | libc::BPF_K => return step.k,
                code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => {
                    at += jumps(loaded == step.k);
                }
                code if code == libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K => {
                    at += jumps(loaded >= step.k);
                }
                code if code == libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K => {
                    at += jumps(loaded & step.k != 0);
                }
                code => panic!("step {code:#x}"),
            }
        }
    }

    #[test]
    fn calls_that_name_paths_are_judged_and_no_others() {
        let mark = Mark([0x1111_2222_3333_4444, 0x5555_6666_7777_8888]);
        for network in [false, true] {
            let wants = Confine {
                network,
                ..Confine::default()
            };
            let program = program(&wants, OURS, NOTIFY, Some(mark));
            for number in 0..1000u32 {
                let call = libc::c_long::from(number);
                let expected = match calls::usage(call) {
                    Some(Use::Socket { .. }) if network => ALLOW,
                    Some(_) => NOTIFY,
                    None if RING.contains(&call) => libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
                    None => ALLOW,
                };
                // As an IPv4 socket, and with no flags.
                let args = [libc::AF_INET as u64, 0, 0, 0, 0, 0];
                assert_eq!(fate(&program, OURS, number, args), expected, "{number}");
            }
            assert_eq!(fate(&program, 3, 2, [0; 6]), ALLOW);
            if cfg!(target_arch = "x86_64") {
                let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
                assert_eq!(fate(&program, OURS, X32 + 2, [0; 6]), absent);
            }
        }
    }

    #[test]
    fn arguments_decide_where_a_call_may_name_no_path() {
        let mark = Mark([0x1111_2222_3333_4444, 0x5555_6666_7777_8888]);
        let program = program(&Confine::default(), OURS, NOTIFY, Some(mark));
        let fate = |call: libc::c_long, args: [u64; 6]| {
            fate(&program, OURS, u32::try_from(call).expect("a number"), args)
        };
        let empty = libc::AT_EMPTY_PATH as u64;
        assert_eq!(fate(libc::SYS_newfstatat, [3, 0, 0, empty, 0, 0]), ALLOW);
        assert_eq!(fate(libc::SYS_newfstatat, [3, 0, 0, 0x100, 0, 0]), NOTIFY);
        assert_eq!(fate(libc::SYS_statx, [3, 0, empty | 0x100, 0, 0, 0]), ALLOW);
        assert_eq!(fate(libc::SYS_statx, [3, 0, 0, 0, 0, 0]), NOTIFY);
        for (family, expected) in [
            (libc::AF_UNIX, ALLOW),
            (libc::AF_NETLINK, ALLOW),
            (libc::AF_INET6, NOTIFY),
            (libc::AF_PACKET, NOTIFY),
        ] {
            assert_eq!(
                fate(libc::SYS_socket, [family as u64, 0, 0, 0, 0, 0]),
                expected
            );
        }
        let [first, second] = mark.0;
        let exec = |third: u64, fourth: u64| fate(libc::SYS_execve, [1, 2, 3, third, fourth, 0]);
        assert_eq!(exec(first, second), ALLOW);
        for bit in 0..64 {
            assert_eq!(exec(first ^ (1 << bit), second), NOTIFY);
            assert_eq!(exec(first, second ^ (1 << bit)), NOTIFY);
        }
    }

    #[test]
    fn marks_differ() {
        let marks: Vec<Mark> = (0..100).map(|_| Mark::new().expect("a mark")).collect();
        for (number, mark) in marks.iter().enumerate() {
            assert!(!marks[..number].contains(mark));
        }
    }
}
