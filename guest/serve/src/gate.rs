//! Who may call: whoever has the bearer of this server, from no web page, under a name that the operator knows.

use sha2::{Digest as _, Sha256};

/// What a request says of itself.
#[derive(Debug, Default, Clone)]
pub(crate) struct Caller<'a> {
    pub(crate) authorization: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
}

/// What the operator has set.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    bearer: [u8; 32],
    /// Names under which this server may be called; without a port.
    hosts: Vec<String>,
}

/// Why a caller is sent away: a status, and a text.
pub(crate) type Refusal = (u16, &'static str);

const SHORTEST: usize = 16;
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Gate {
    /// `bearer` is what callers have to know; `hosts` are names separated by commas, beside those of the own machine.
    pub(crate) fn new(bearer: Option<&str>, hosts: Option<&str>) -> Result<Self, String> {
        let bearer = bearer.filter(|bearer| bearer.len() >= SHORTEST).ok_or_else(|| {
            format!(
                "MOLECULE_SERVE_TOKEN is not set, or shorter than {SHORTEST} characters: it is what callers of this server have \
                 to send as bearer, and is no token of the platform"
            )
        })?;
        let named = hosts.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
        let hosts = LOCAL.into_iter().chain(named).map(str::to_ascii_lowercase).collect();
        Ok(Self { bearer: digest(bearer), hosts })
    }

    /// Whether a caller may go on.
    pub(crate) fn check(&self, caller: &Caller<'_>) -> Result<(), Refusal> {
        // A page of a browser has an origin; a name that leads here by another's DNS is no name of ours.
        if caller.origin.is_some_and(|origin| !self.knows(origin.split("://").nth(1).unwrap_or_default())) {
            return Err((403, "requests of web pages are not answered"));
        }
        if !caller.host.is_some_and(|host| self.knows(host)) {
            return Err((421, "this server does not have that name: set MOLECULE_SERVE_HOSTS"));
        }
        let given = caller.authorization.and_then(|value| value.split_once(' '));
        match given {
            // Of equal length, so that the time of a comparison tells nothing.
            Some((scheme, bearer))
                if scheme.eq_ignore_ascii_case("bearer") && digest(bearer.trim()) == self.bearer =>
            {
                Ok(())
            }
            Some(_) | None => {
                Err((401, "the bearer of this server is missing or wrong: see MOLECULE_SERVE_TOKEN"))
            }
        }
    }

    fn knows(&self, authority: &str) -> bool {
        let name = match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => authority,
        };
        self.hosts.contains(&name.to_ascii_lowercase())
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEARER: &str = "0123456789abcdef";

    #[test]
    fn a_server_without_a_bearer_of_its_own_serves_nobody() {
        for bearer in [None, Some(""), Some("short")] {
            assert!(Gate::new(bearer, None).unwrap_err().contains("MOLECULE_SERVE_TOKEN"));
        }
    }

    #[test]
    fn callers_need_the_bearer_a_known_name_and_no_foreign_page() {
        let good = Caller {
            authorization: Some("Bearer 0123456789abcdef"),
            origin: None,
            host: Some("127.0.0.1:8080"),
        };
        let status = |caller: Caller<'_>| gate().check(&caller).err().map(|(status, _)| status);

        assert_eq!(status(good.clone()), None);
        assert_eq!(status(Caller { host: Some("Agents.Example"), ..good.clone() }), None);
        assert_eq!(status(Caller { origin: Some("http://localhost:3000"), ..good.clone() }), None);
        assert_eq!(status(Caller { origin: Some("https://evil.example"), ..good.clone() }), Some(403));
        assert_eq!(status(Caller { origin: Some("null"), ..good.clone() }), Some(403));
        assert_eq!(status(Caller { host: Some("evil.example:8080"), ..good.clone() }), Some(421));
        assert_eq!(status(Caller { host: None, ..good.clone() }), Some(421));
        for wrong in [None, Some("Bearer 0123456789abcdee"), Some("Basic 0123456789abcdef"), Some("Bearer ")]
        {
            assert_eq!(status(Caller { authorization: wrong, ..good.clone() }), Some(401), "{wrong:?}");
        }
    }

    #[test]
    fn names_of_ipv6_are_known_with_and_without_a_port() {
        assert!(gate().knows("[::1]:80") && gate().knows("[::1]") && !gate().knows("::1"));
    }

    fn gate() -> Gate {
        Gate::new(Some(BEARER), Some("agents.example, other")).unwrap()
    }
}
