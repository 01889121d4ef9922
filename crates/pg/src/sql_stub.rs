#![allow(missing_docs)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Verdict;
pub fn inspect(_: &[u8], _: bool) -> Verdict {
    Verdict
}
