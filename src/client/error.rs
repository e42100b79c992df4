//! What can go wrong between a client and its server.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

/// Why a request has no good answer.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The endpoint is not `http://host:port`. Nothing was sent.
    #[error("`{given}` is not an endpoint; write http://host:port")]
    Endpoint {
        /// What was given.
        given: String,
    },
    /// No connection, or it broke. The server may have done what it was asked to do.
    #[error("cannot reach {endpoint} ({cause})")]
    Unreachable {
        /// The server.
        endpoint: String,
        /// The operating system's answer.
        cause: String,
    },
    /// No answer in time. The server may have done what it was asked to do.
    #[error("{endpoint} does not answer within {after:?}")]
    TimedOut {
        /// The server.
        endpoint: String,
        /// How long was waited.
        after: Duration,
    },
    /// What answers is no badbatch server.
    #[error("{endpoint} does not answer like a badbatch server: {what}")]
    Garbage {
        /// The server.
        endpoint: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// The server says what is wrong. It has changed nothing, unless the problem says otherwise.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// What was to be sent could not be read. What came before it has been published.
    #[error("the input cannot be read: {cause}")]
    Input {
        /// The cause.
        cause: String,
    },
}

/// A problem as the server tells it. Source: RFC 9457.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// The status.
    pub status: u16,
    /// What programs decide by.
    pub code: String,
    /// What people read.
    pub detail: String,
    /// Everything that the server said.
    pub body: Value,
    /// When it may be tried again.
    pub retry_after: Option<Duration>,
    /// Where the same can be had, at the home of the disruptor.
    pub location: Option<String>,
}

impl ClientError {
    /// The problem's code, if the server told one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Problem(problem) => {
                // What has begun would be done twice.
                let has_begun = problem.body["progress"]["published_count"].as_u64() > Some(0);
                let is_passing =
                    matches!(problem.status, 429 | 503) || problem.code == "idempotency_in_progress";
                is_passing && !has_begun
            }
            Self::Endpoint { .. } | Self::Garbage { .. } | Self::Input { .. } => false,
        }
    }
}
