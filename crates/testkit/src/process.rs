//! A child process that cannot outlive its owner.
//!
//! Dropping a [`Process`] ends it. Should this process be killed before it can drop anything (a test runner's timeout,
//! Ctrl-C), a guardian does: a shell that waits for the closing of a pipe only we hold. The kernel closes it whatever
//! happens to us. `PR_SET_PDEATHSIG` would be shorter, but fires when the *thread* that spawned ends, which in tests it does.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};

use crate::poll_until;

/// How a process is asked to end when its owner is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGKILL to the process.
    Kill,
    /// SIGQUIT first: PostgreSQL's immediate shutdown, which takes its children along.
    Quit,
}

/// A running child, in a session of its own so that Ctrl-C reaches only us, with its output in a log file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ending: Ending,
    guardian: Option<Child>,
}

impl Process {
    /// Starts `command`, its output appended to `log`; `folder` is deleted by the guardian when we die first.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(name: &str, command: &Command, log: &Path, ending: Ending, folder: Option<&Path>) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log).with_context(|| format!("log of {name}"))?;
        // setsid(1) executes it: its process id stays the one we see.
        let mut command = by_way_of(&["setsid"], command);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {name}: {command:?}"))?;
        let mut process = Self { name: name.to_owned(), child, log: log.to_owned(), ending, guardian: None };
        process.guardian = Some(guard(process.id(), ending, folder)?);
        Ok(process)
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        poll_until(limit, &format!("{name} to end"), || Ok(self.child.try_wait()?))
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Polls `ready` until it says yes, giving up early, with the log's end, when the process dies.
    ///
    /// # Errors
    /// When the process ended or `limit` passed; the message carries the last lines of the log.
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let what = format!("{} to be ready", self.name);
        let log = self.log.clone();
        poll_until(limit, &what, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            Ok(ready().then_some(()))
        })
        .with_context(|| format!("the log {} ends:\n{}", log.display(), tail(&log, 30)))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).with_context(|| format!("signal to {}", self.name))
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// CPU time of all its threads so far, user and system, those that ended included; resolution 10 ms.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.id())
    }

    /// Resident memory, in bytes.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// Voluntary and involuntary context switches of all its living threads so far.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn context_switches(&self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            // A thread may end between listing and reading; its switches are gone, which is not worth a failure.
            let Ok(status) = fs::read_to_string(task?.path().join("status")) else { continue };
            let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
            sum += counts.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum::<u64>();
        }
        Ok(sum)
    }

    /// Raises its scheduling priority against everything else on the machine, when we may; for measurements.
    ///
    /// Linux groups processes by session for scheduling (autogroups), so the nice value of a process counts only within
    /// its group; the group's own weight is what a noisy neighbour competes with.
    pub fn prefer(&self) {
        fs::write(format!("/proc/{}/autogroup", self.id()), "-10").ok();
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("no such process id")
    }

    fn end(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        self.signal(Signal::CONT).ok();
        if self.ending == Ending::Quit {
            self.signal(Signal::QUIT).ok();
            if self.wait(QUIT_LIMIT).is_ok() {
                return;
            }
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if let Some(mut guardian) = self.guardian.take() {
            guardian.kill().ok();
            guardian.wait().ok();
        }
    }
}

/// CPU time of process `id` and its threads, user and system, from `/proc/ID/stat` (fields 14 and 15, proc(5)).
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(id: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The second field, the program's name, may contain spaces; it ends at the last bracket.
    let (_, after_name) = stat.rsplit_once(')').context("no name in stat")?;
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Sends a signal to a process that is not ours to wait for, such as a server's child.
pub(crate) fn signal_to(id: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("no such process id")?;
    kill_process(pid, signal).with_context(|| format!("signal to process {id}"))
}

/// Freezes a process and returns once none of its threads runs: the signal alone only asks for it.
///
/// # Errors
/// When there is no such process, or it goes on running.
pub(crate) fn freeze(id: u32) -> Result<()> {
    signal_to(id, Signal::STOP)?;
    poll_until(FREEZE_LIMIT, &format!("process {id} to stand still"), || {
        for task in fs::read_dir(format!("/proc/{id}/task"))? {
            // A thread may end between listing and reading.
            let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
            let state = stat.rsplit_once(')').and_then(|(_, fields)| fields.trim_start().chars().next());
            if !matches!(state, Some('T' | 'Z' | 'X')) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
}

/// Whether a signal was sent to a process that has not taken it yet, as `/proc/ID/status` tells (proc(5), `ShdPnd`).
///
/// # Errors
/// When there is no such process.
pub(crate) fn has_pending(id: u32, signal: Signal) -> Result<bool> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).context("no ShdPnd")?;
    Ok(u64::from_str_radix(mask.trim(), 16)? >> (signal.as_raw() - 1) & 1 == 1)
}

/// Raises our limit of open files, which children inherit, as far as allowed: thousands of clients need it.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
}

/// Runs a command to its end and returns its standard output, trimmed.
///
/// # Errors
/// When it cannot be started, fails, or runs for more than five minutes; the message carries its standard error.
pub fn run(command: &mut Command) -> Result<String> {
    run_within(RUN_LIMIT, command)
}

/// As [`run`], with a limit of one's own, in whole seconds.
///
/// # Errors
/// As [`run`].
pub fn run_within(limit: Duration, command: &Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let limit = limit.as_secs().max(1).to_string();
    // In the foreground, so that Ctrl-C reaches it too.
    let mut bounded = by_way_of(&["timeout", "--foreground", "--kill-after=5", &limit], command);
    let output = bounded.stdin(Stdio::null()).output().with_context(|| format!("cannot start {bounded:?}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        let late = if output.status.code() == Some(TIMED_OUT) { ", its time being over," } else { "" };
        bail!("{program:?} failed{late} with {}: {}", output.status, error.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// The last `lines` lines of a text file, or why it cannot be read.
#[must_use]
pub fn tail(file: &Path, lines: usize) -> String {
    match fs::read_to_string(file) {
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("({error})"),
    }
}

/// The same command as arguments of another, which starts it with the same environment in the same folder.
fn by_way_of(outer: &[&str], command: &Command) -> Command {
    let mut whole = Command::new(outer[0]);
    whole.args(&outer[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        whole.current_dir(folder);
    }
    whole
}

fn guard(id: u32, ending: Ending, folder: Option<&Path>) -> Result<Child> {
    // `read` returns when the pipe closes. A process id cannot be reused while we live, since we have not waited for it.
    let script = r#"read -r _
        kill -CONT "$1"; kill "-$2" "$1"
        for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" 2>/dev/null || break; sleep 0.3; done
        kill -KILL "$1"
        [ -z "$3" ] || rm -rf -- "$3""#;
    let signal = match ending {
        Ending::Kill => "KILL",
        Ending::Quit => "QUIT",
    };
    let folder = folder.map_or_else(|| OsStr::new(""), Path::as_os_str);
    Command::new("sh")
        .args(["-c", script, "guardian", &id.to_string(), signal])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start the guardian shell")
}

/// PostgreSQL kills children that ignore its immediate shutdown after 5 s (`SIGKILL_CHILDREN_AFTER_SECS`, postmaster.c).
const QUIT_LIMIT: Duration = Duration::from_secs(8);
const FREEZE_LIMIT: Duration = Duration::from_secs(30);

/// What a program that is to end by itself may take, on a machine that is busy with other tests.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// The exit status of timeout(1) when time was up.
const TIMED_OUT: i32 = 124;

/// `USER_HZ`, which is 100 on every architecture Linux runs servers on.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_never_ends_is_ended() {
        let error = run_within(Duration::from_secs(1), Command::new("sleep").arg("3600")).unwrap_err();
        assert!(error.to_string().contains("its time being over"), "{error}");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo sorry >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with("exit status: 3: sorry"), "{error}");
        assert_eq!(run(Command::new("echo").arg("said")).unwrap(), "said");
    }
}
