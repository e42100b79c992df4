//! The routes of the cluster.

use super::super::{Parameter, Route, Success, Work, cluster, cluster_key, service};
use super::{FROM, SMALL, STRUCTURED, SWITCH, WAIT_FOR_EVENTS, body, get, ok, parameter, post};
use crate::node::Role;

const NO_CLUSTER: &[&str] = &["cluster_disabled"];
const NO_MEMBER: &[&str] = &["cluster_disabled", "member_not_found"];
const NO_KEY: &[&str] = &["cluster_disabled", "key_not_found", "key_in_use", "draining"];
const NO_SERVICE: &[&str] = &["cluster_disabled", "service_not_found", "draining"];
const GONE: &[Success] = &[Success { status: 204, about: "It is gone.", media: &[], schema: "" }];
const CLUSTER: &[Success] = &[ok("The cluster as this node sees it.", "Cluster")];
const KEYS: &[Success] = &[ok("The keys by their fingerprints, that which closes first.", "ClusterKeyList")];

const OFFSET: Parameter =
    parameter("offset", "How many to leave out.", r#"{"type": "integer", "minimum": 0, "maximum": 1000000}"#);
const LIMIT: Parameter =
    parameter("limit", "How many to give.", r#"{"type": "integer", "minimum": 1, "maximum": 500}"#);

/// Every route about the cluster.
pub const ROUTES: &[Route] = &[
    Route {
        success: CLUSTER,
        problems: NO_CLUSTER,
        ..get(
            "/api/v1/cluster",
            "read_cluster",
            "cluster",
            "Shows the cluster as this node sees it",
            Work::Answer(cluster::read),
        )
    },
    Route {
        query: &[
            OFFSET,
            LIMIT,
            parameter(
                "state",
                "Only those in this state.",
                r#"{"enum": ["alive", "suspect", "dead", "left"]}"#,
            ),
        ],
        success: &[ok("Some of them, this node first.", "MemberList")],
        problems: NO_CLUSTER,
        ..get(
            "/api/v1/cluster/members",
            "list_members",
            "cluster",
            "Lists the nodes of the cluster",
            Work::Answer(cluster::members),
        )
    },
    Route {
        success: &[ok("The member.", "Member")],
        problems: NO_MEMBER,
        ..get(
            "/api/v1/cluster/members/{member_id}",
            "read_member",
            "cluster",
            "Shows a node of the cluster",
            Work::Answer(cluster::member),
        )
    },
    Route {
        success: &[ok("It counts as one that has left.", "Member")],
        problems: &["cluster_disabled", "cluster_left", "member_not_found", "invalid_state", "draining"],
        ..post(
            "/api/v1/cluster/members/{member_id}/force-leave",
            "force_member_to_leave",
            "cluster",
            "Has a dead node taken for one that has left",
            Work::Answer(cluster::force_leave),
        )
    },
    Route {
        role: Some(Role::Viewer),
        query: &[parameter(
            "timeout",
            "How long to wait for the answer, up to 10s.",
            r#"{"type": "string", "pattern": "^([0-9]{1,4}(ms)?|[0-9]s|10s)$", "examples": ["250ms"]}"#,
        )],
        success: &[ok("It has answered.", "MemberPing")],
        problems: &["cluster_disabled", "member_not_found", "member_unreachable", "too_many_streams"],
        ..post(
            "/api/v1/cluster/members/{member_id}/ping",
            "ping_member",
            "cluster",
            "Asks a node whether it is there",
            Work::Wait(cluster::ping),
        )
    },
    Route {
        query: &[
            FROM,
            parameter("limit", "How many to give.", r#"{"type": "integer", "minimum": 1, "maximum": 1000}"#),
            WAIT_FOR_EVENTS,
        ],
        success: &[ok("What happened, as far as it is kept, and where to go on.", "ClusterEventList")],
        problems: NO_CLUSTER,
        ..get(
            "/api/v1/cluster/events",
            "list_cluster_events",
            "cluster",
            "Reads what happened to members and services",
            Work::WaitIf(cluster::events, "wait"),
        )
    },
    Route {
        body: body("JoinCluster"),
        body_max: SMALL,
        success: CLUSTER,
        problems: &["cluster_disabled", "cluster_left", "join_failed", "draining"],
        ..post(
            "/api/v1/cluster/join",
            "join_cluster",
            "cluster",
            "Joins the cluster of another node",
            Work::Wait(cluster::join),
        )
    },
    Route {
        success: CLUSTER,
        problems: &["cluster_disabled", "draining", "too_many_streams"],
        ..post(
            "/api/v1/cluster/leave",
            "leave_cluster",
            "cluster",
            "Says goodbye to the cluster; the server goes on",
            Work::Wait(cluster::leave),
        )
    },
    Route {
        role: Some(Role::Admin),
        success: KEYS,
        problems: NO_CLUSTER,
        ..get(
            "/api/v1/cluster/keys",
            "list_cluster_keys",
            "cluster",
            "Lists the keys that open the cluster's messages",
            Work::Answer(cluster_key::list),
        )
    },
    Route {
        body: body("AddClusterKey"),
        body_max: SMALL,
        success: &[Success {
            status: 201,
            about: "It opens messages from now on.",
            media: STRUCTURED,
            schema: "ClusterKey",
        }],
        problems: &["cluster_disabled", "cluster_not_encrypted", "too_many", "draining"],
        ..post(
            "/api/v1/cluster/keys",
            "add_cluster_key",
            "cluster",
            "Opens the cluster's messages with one more key, on this node",
            Work::Answer(cluster_key::add),
        )
    },
    Route {
        success: KEYS,
        problems: NO_KEY,
        ..post(
            "/api/v1/cluster/keys/{cluster_key_id}/use",
            "use_cluster_key",
            "cluster",
            "Closes messages with this key from now on, on this node",
            Work::Answer(cluster_key::prefer),
        )
    },
    Route {
        method: "DELETE",
        success: GONE,
        problems: NO_KEY,
        ..post(
            "/api/v1/cluster/keys/{cluster_key_id}",
            "remove_cluster_key",
            "cluster",
            "Opens messages with this key no more, on this node",
            Work::Answer(cluster_key::remove),
        )
    },
    Route {
        query: &[
            OFFSET,
            LIMIT,
            parameter("name", "Only services of this name, the best first.", r#"{"type": "string"}"#),
            parameter("tag", "Only those with this tag.", r#"{"type": "string"}"#),
            parameter("node", "Only those of this node.", r#"{"type": "string"}"#),
            parameter("healthy", "Whether to leave out those that are critical.", SWITCH),
            parameter(
                "choose",
                "Give one of them; needs a name.",
                r#"{"enum": ["random", "round_robin", "least_loaded"]}"#,
            ),
        ],
        success: &[ok("Some of them, or the one that was chosen.", "ServiceList")],
        problems: NO_CLUSTER,
        ..get(
            "/api/v1/cluster/services",
            "list_services",
            "cluster",
            "Looks services up",
            Work::Answer(service::list),
        )
    },
    Route {
        body: body("RegisterService"),
        body_max: SMALL,
        success: &[
            Success { status: 201, about: "It is offered.", media: STRUCTURED, schema: "Service" },
            ok("It was offered, and is described anew.", "Service"),
        ],
        problems: &["cluster_disabled", "cluster_left", "too_many", "service_not_found", "draining"],
        ..post(
            "/api/v1/cluster/services",
            "register_service",
            "cluster",
            "Offers a service on this node, or describes it anew",
            Work::Answer(service::register),
        )
    },
    Route {
        success: &[ok("The service.", "Service")],
        problems: &["cluster_disabled", "service_not_found"],
        ..get(
            "/api/v1/cluster/services/{service_id}",
            "read_service",
            "cluster",
            "Shows a service of this node",
            Work::Answer(service::read),
        )
    },
    Route {
        method: "DELETE",
        success: GONE,
        problems: NO_SERVICE,
        ..post(
            "/api/v1/cluster/services/{service_id}",
            "deregister_service",
            "cluster",
            "Offers a service of this node no longer",
            Work::Answer(service::deregister),
        )
    },
    Route {
        role: Some(Role::Writer),
        body: body("ServiceReport"),
        body_max: SMALL,
        success: &[ok("The service.", "Service")],
        problems: &["cluster_disabled", "service_not_found", "service_checked", "draining"],
        ..post(
            "/api/v1/cluster/services/{service_id}/report",
            "report_service",
            "cluster",
            "Says how well a service of this node is, and how busy",
            Work::Answer(service::report),
        )
    },
    Route {
        role: Some(Role::Writer),
        body: body("SendNote"),
        body_max: SMALL,
        success: &[Success {
            status: 202,
            about: "It is on its way to all other nodes.",
            media: STRUCTURED,
            schema: "NoteSent",
        }],
        problems: &["cluster_disabled", "cluster_left", "rate_limited", "draining"],
        ..post(
            "/api/v1/cluster/notes",
            "send_note",
            "cluster",
            "Says something small to all other nodes",
            Work::Answer(service::note),
        )
    },
];
