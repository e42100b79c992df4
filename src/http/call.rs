//! One request, as the routes see it.

use std::sync::Arc;
use std::time::Duration;

use super::access::Caller;
use super::app::App;
use super::media::{Media, to_json};
use super::problem::Problem;
use super::query::Query;
use super::response::Response;
use super::routes::Route;
use super::server::Head;
use crate::engine::NamedDisruptor;
use crate::node::{Node, Role};

/// One request.
pub struct Call<'c> {
    pub app: &'c App,
    pub head: &'c Head,
    pub route: &'static Route,
    /// What stood where the route's path has names in braces, in this order.
    pub parameters: Vec<String>,
    pub query: Query,
    pub body: Vec<u8>,
    pub caller: Caller,
}

/// How long a request may wait for something.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

impl Call<'_> {
    pub fn node(&self) -> &Arc<Node> {
        &self.app.node
    }

    /// The disruptor that the path names.
    pub fn disruptor(&self) -> Result<Arc<NamedDisruptor>, Problem> {
        self.disruptor_named(&self.parameters[0])
    }

    /// A disruptor that the caller may use.
    pub fn disruptor_named(&self, name: &str) -> Result<Arc<NamedDisruptor>, Problem> {
        // Somebody outside of their scope learns nothing about what there is.
        match self.node().engine().find(name) {
            Ok(disruptor) => self.caller.must_reach(disruptor.name()).map(|()| disruptor),
            Err(error) => match self.caller.scope {
                Some(_) => self.caller.must_reach(name).and(Err(Problem::from(error))),
                None => Err(error.into()),
            },
        }
    }

    /// How long the client wants to wait.
    pub fn wait(&self) -> Result<Duration, Problem> {
        Ok(self.query.span("wait", WAIT_MAX)?.unwrap_or_default())
    }

    /// The body as JSON, whatever form it came in.
    pub fn json(&mut self) -> Result<serde_json::Value, Problem> {
        let media = Media::of_request(self.head, &[Media::Json, Media::Yaml, Media::MessagePack])?;
        let body = to_json(media, std::mem::take(&mut self.body))?;
        serde_json::from_slice(&body).map_err(|error| Problem::field("body", format!("is not JSON: {error}")))
    }

    /// The form that the client wants, among those that can be had here.
    pub fn wanted(&self, offered: &[Media]) -> Result<Media, Problem> {
        Media::of_response(self.head, self.query.text("format"), offered)
    }

    /// Refuses what would change something while the node ends.
    pub fn must_not_drain(&self) -> Result<(), Problem> {
        if self.route.role >= Some(Role::Writer) && self.node().is_draining() {
            let problem = Problem::new("draining", "the server is about to end");
            return Err(problem.retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }
}

/// A route's handler.
pub type Handler = fn(&mut Call<'_>) -> Result<Response, Problem>;
