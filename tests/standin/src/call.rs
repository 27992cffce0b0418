//! A request being handled: what the layers and the endpoints ask of it.

use url::form_urlencoded;

use crate::http::Request;
use crate::json::{Fields, Malformed};
use crate::now::Now;

pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) now: Now,
    query: Vec<(String, String)>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(request: &'a Request, now: Now) -> Self {
        let query = form_urlencoded::parse(request.query.as_bytes()).into_owned().collect();
        Self { request, now, query }
    }

    pub(crate) fn fields(&self) -> Result<Fields, Malformed> {
        Fields::parse(&self.request.body)
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter, with an empty one counting as absent.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.query(name).filter(|value| !value.is_empty())
    }

    /// The bearer token. Scheme and blank are matched exactly; anything else is no token.
    pub(crate) fn bearer(&self) -> Option<&'a str> {
        let token = self.request.headers.get("Authorization")?.strip_prefix("Bearer ")?.trim();
        Some(token).filter(|token| !token.is_empty())
    }

    /// The workspace that the caller says it is.
    pub(crate) fn caller(&self) -> Option<&'a str> {
        self.header("X-Workspace-ID")
    }

    /// A header without its surrounding blanks; a blank one counts as absent.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.request.headers.get(name).map(str::trim).filter(|value| !value.is_empty())
    }

    pub(crate) fn host(&self) -> &'a str {
        self.request.headers.get("Host").unwrap_or_default()
    }

    /// Whether the request comes from the web UI of this very host, as far as its headers say.
    pub(crate) fn is_same_origin(&self) -> bool {
        let sites = ["http://", "https://"].map(|scheme| format!("{scheme}{}", self.host()));
        let referer = self.request.headers.get("Referer").unwrap_or_default();
        let origin = self.request.headers.get("Origin");
        sites
            .iter()
            .any(|site| origin == Some(site) || referer == site || referer.starts_with(&format!("{site}/")))
    }
}
