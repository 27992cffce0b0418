//! What helps when the platform did not do what it was asked for.

use crate::platform::PlatformError;

/// What an agent can do about something between here and the platform, and whom it has to tell.
const IN_FRONT: &str = "Something between here and the platform answered in its place, such as a login page, a firewall or a \
                        proxy: tell the operator, who should check PLATFORM_URL and the network.";

/// The next step after `why`, as whole sentences.
pub(in crate::tools) fn advice(why: &PlatformError) -> String {
    if why.is_in_front() {
        return IN_FRONT.to_owned();
    }
    match why {
        // The reason says where to look.
        PlatformError::Unreachable { .. } => {
            "Try again in a minute; if it stays like this, tell the operator.".to_owned()
        }
        PlatformError::Status { status: 401, .. } => {
            "The token may be invalid: ask the operator for a new one from the canvas, Tokens tab, and to \
             restart this server."
                .to_owned()
        }
        PlatformError::Status { status: 403, .. } => {
            "This workspace may not do that, and trying again does not help: tell the operator.".to_owned()
        }
        PlatformError::Status { status: 404 | 410, .. } => {
            "The platform does not know this workspace: ask the operator to check WORKSPACE_ID, and whether the \
             workspace was deleted."
                .to_owned()
        }
        PlatformError::Status { status: 429, retry_after_ms, .. } => format!(
            "This is a rate limit: try again in {} s.",
            retry_after_ms.map_or(60, |pause| pause.div_ceil(1_000))
        ),
        PlatformError::Status { status: 500.., .. } => "Try again in a minute.".to_owned(),
        PlatformError::Overflowed
        | PlatformError::Refused(_)
        | PlatformError::Shape(_)
        | PlatformError::Status { .. } => {
            "The same call would fail again: change it, or tell the operator.".to_owned()
        }
    }
}

/// Whether what was asked for may have happened all the same.
///
/// Besides lost answers these are answers of something between here and the platform, which had
/// passed the request on.
pub(in crate::tools) const fn may_have_happened(why: &PlatformError) -> bool {
    matches!(
        why,
        PlatformError::Unreachable { maybe_sent: true, .. }
            | PlatformError::Overflowed
            | PlatformError::Shape(_)
            | PlatformError::Status { status: 502 | 504 | 520..=529, .. }
    )
}

/// What the platform said, as the end of a sentence; nothing if it said nothing.
pub(in crate::tools) fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_is_given_in_seconds_that_suffice() {
        assert_eq!(advice(&status(429, Some(4_001))), "This is a rate limit: try again in 5 s.");
        assert_eq!(advice(&status(429, None)), "This is a rate limit: try again in 60 s.");
    }

    #[test]
    fn what_is_in_front_of_the_platform_is_told_from_a_refused_token() {
        let said = |status, said: &str| PlatformError::Status {
            status,
            said: said.to_owned(),
            retry_after_ms: None,
        };

        for why in [
            said(401, ""),
            said(401, "Unauthorized"),
            said(403, ""),
            said(301, "redirected to https://www.acme.example/"),
            said(407, ""),
            said(511, ""),
            PlatformError::Shape("was a web page, not JSON".to_owned()),
        ] {
            assert!(advice(&why).contains("PLATFORM_URL") && !advice(&why).contains("token"), "{why}");
        }
        assert!(advice(&said(401, "invalid workspace auth token")).contains("Tokens tab"));
        assert!(advice(&said(403, "only root workspaces can write")).contains("may not do that"));
    }

    #[test]
    fn only_a_request_that_surely_came_to_nothing_may_be_sent_again() {
        let unreachable =
            |maybe_sent| PlatformError::Unreachable { reason: "connection reset".to_owned(), maybe_sent };

        for why in [unreachable(true), PlatformError::Overflowed, status(502, None), status(524, None)] {
            assert!(may_have_happened(&why), "{why}");
        }
        for why in [unreachable(false), status(401, None), status(429, None), status(503, None)] {
            assert!(!may_have_happened(&why), "{why}");
        }
    }

    fn status(status: u16, retry_after_ms: Option<u64>) -> PlatformError {
        PlatformError::Status { status, said: String::new(), retry_after_ms }
    }
}
