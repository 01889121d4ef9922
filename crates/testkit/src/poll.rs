use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Asks `f` until it answers `Some`, at most for `limit`.
///
/// The pause between two questions grows from 1 ms to 50 ms, so a quick answer is quick and a slow one costs little.
///
/// # Errors
/// The first error of `f`, or that `what` did not happen within `limit`.
pub fn poll_until<T>(limit: Duration, what: &str, mut f: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = f().with_context(|| format!("while waiting for {what}"))? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {limit:?}");
        }
        sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

const PAUSE_MAX: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_soon_as_the_question_does() {
        let mut left = 3;
        let answer = poll_until(Duration::from_secs(10), "the countdown", || {
            left -= 1;
            Ok((left == 0).then_some("done"))
        });
        assert_eq!(answer.unwrap(), "done");
    }

    #[test]
    fn names_what_did_not_happen() {
        let error = poll_until(Duration::from_millis(5), "rain", || Ok(None::<()>)).unwrap_err();
        assert_eq!(error.to_string(), "rain: not within 5ms");
    }

    #[test]
    fn an_error_ends_the_wait() {
        let error = poll_until(Duration::from_secs(60), "rain", || bail!("drought")).map(|(): ()| ()).unwrap_err();
        assert_eq!(format!("{error:#}"), "while waiting for rain: drought");
    }
}
