//! Errors of the protocol, and the error replies we write ourselves.

use std::borrow::Cow;

use crate::{frame::server, write};

/// Bytes that are not the protocol. The connection they came on must close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A length word that no message has.
    #[error("message {:?} announces a length of {len} bytes", char::from(*.tag))]
    Length {
        /// The message's type byte; 0 for an untyped first packet.
        tag: u8,
        /// The announced length.
        len: usize,
    },
    /// A message ends before its fields do, or goes on after them.
    #[error("message {:?} is malformed: {what}", char::from(*.tag))]
    Malformed {
        /// The message's type byte; 0 for an untyped first packet.
        tag: u8,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A message that must not come here.
    #[error("message {:?} is not expected {when}", char::from(*.tag))]
    Unexpected {
        /// The message's type byte.
        tag: u8,
        /// In which state it came.
        when: &'static str,
    },
    /// A protocol version that we do not speak.
    #[error("protocol version {major}.{minor} is not supported")]
    Version {
        /// The major number asked for.
        major: u16,
        /// The minor number asked for.
        minor: u16,
    },
    /// A named limit was met.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What is too large or too many.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// How bad it is: the `S` and `V` fields of an error or notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed; the session goes on.
    Error,
    /// The session ends.
    Fatal,
    /// Nothing failed.
    Notice,
}

impl Severity {
    fn text(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Notice => "NOTICE",
        }
    }
}

/// An `ErrorResponse` or `NoticeResponse` of our own: the reason, and what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// How bad it is.
    pub severity: Severity,
    /// SQLSTATE (PostgreSQL documentation, appendix "Error Codes").
    pub code: Cow<'static, str>,
    /// One sentence: what happened.
    pub message: Cow<'static, str>,
    /// The facts behind it.
    pub detail: Option<String>,
    /// What the reader can do.
    pub hint: Option<Cow<'static, str>>,
}

impl ErrorReply {
    /// An error that ends the session.
    pub fn fatal(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Severity::Fatal, code, message)
    }

    /// An error that ends the statement.
    pub fn error(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A notice.
    pub fn notice(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Severity::Notice, "00000", message)
    }

    fn new(severity: Severity, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { severity, code: code.into(), message: message.into(), detail: None, hint: None }
    }

    /// Adds the facts behind it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Appends the message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let tag = if self.severity == Severity::Notice { server::NOTICE_RESPONSE } else { server::ERROR_RESPONSE };
        write::message(out, tag, |out| {
            let severity = self.severity.text();
            for (field, text) in [(b'S', severity), (b'V', severity), (b'C', &self.code), (b'M', &self.message)] {
                write_field(out, field, text);
            }
            for (field, text) in [(b'D', self.detail.as_deref()), (b'H', self.hint.as_deref())] {
                if let Some(text) = text {
                    write_field(out, field, text);
                }
            }
            out.push(0);
        });
    }
}

/// A NUL inside a text would end the field early and shift the rest; such a byte is dropped.
fn write_field(out: &mut Vec<u8>, field: u8, text: &str) {
    out.push(field);
    out.extend(text.bytes().filter(|&byte| byte != 0));
    out.push(0);
}
