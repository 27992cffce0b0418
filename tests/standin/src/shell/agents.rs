//! Calls to agents.

use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;

use super::{Shell, now};
use crate::dispatch::{AgentOutcome, Dispatch, DispatchId};
use crate::http::Response;

/// How often a deadline is looked at that events may have put off.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    // Agents speak plain HTTP here, but built together with the program reqwest has TLS and wants a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .http1_title_case_headers()
        .connect_timeout(Duration::from_secs(10))
        .no_proxy()
        .pool_max_idle_per_host(0)
        .user_agent("Go-http-client/1.1")
        .build()
}

impl Shell {
    /// Carries out a call and gives the answer, if somebody waits for one.
    pub(super) async fn carry_out(self, dispatch: Dispatch) -> Option<Response> {
        let id = dispatch.id;
        let outcome = self.call(dispatch).await;
        self.with(|platform, now| platform.dispatched(id, outcome, now))
    }

    async fn call(&self, dispatch: Dispatch) -> AgentOutcome {
        let call = dispatch.call;
        let Ok(method) = call.method.parse() else { return AgentOutcome::Refused };
        let headers = call.headers.iter();
        let request = self.agents.request(method, call.url).body(call.body);
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        let sent = tokio::select! {
            sent = request.send() => sent,
            () = self.overdue(dispatch.id, false) => return AgentOutcome::Silent,
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(err) if err.is_connect() || err.is_builder() => return AgentOutcome::Refused,
            Err(_) => return AgentOutcome::HungUp,
        };
        let mut response = Response::empty(answer.status().as_u16());
        for (name, value) in answer.headers() {
            response.headers.push(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        }
        let body = tokio::select! {
            body = answer.bytes() => body.ok(),
            () = self.overdue(dispatch.id, true) => None,
        };
        match body {
            Some(body) => AgentOutcome::Answered(Response { body, ..response }),
            None => AgentOutcome::Cut(response.status),
        }
    }

    async fn overdue(&self, id: DispatchId, answering: bool) {
        let mut rest = pin!(sleep(Duration::ZERO));
        loop {
            rest.as_mut().await;
            let deadline = self.with_quietly(|platform| platform.dispatch_deadline(id, answering));
            if deadline.is_some_and(|deadline| deadline <= now()) {
                return;
            }
            rest.set(sleep(LOOK));
        }
    }
}
