//! The application model: what a person deploys, whatever manifest it was written in.
//!
//! An [`Application`] is a named set of [`Workload`]s. Its native form is `reef.toml`, of which these
//! types are the fields; every other system's manifest is read into the same types by the crate of its
//! contract. Nothing here is opened, fetched or run.
//!
//! A manifest holds no secrets: values may refer to [`Variable`]s, which get theirs from elsewhere.

mod application;
mod check;
mod fixed;
mod link;
mod name;
mod rollout;
mod route;
mod scale;
mod schedule;
mod source;
mod subject;
mod template;
mod text;
mod trigger;
mod workload;

pub use application::{Application, Manifest, NAMESPACE, Variable, VariableSource, Volume, schema};
pub use fixed::{FixedResponse, Redirect, StaticFiles};
pub use link::{Link, Merge, Offline};
pub use name::{Name, NameError};
pub use rollout::{Gates, Rate, Rollout, Step, Strategy};
pub use route::{Route, RouteError, Segment};
pub use scale::{Amount, Auto, Condition, Goal, Holds, Packing, Scale, Spread, Target, Topology};
pub use schedule::{Schedule, ScheduleError};
pub use source::{Source, SourceError};
pub use subject::{Subject, SubjectError};
pub use template::{Part, Template, TemplateError, Unresolved};
pub use text::Written;
pub use trigger::{
    Change, CronTrigger, Handing, HttpTrigger, Labels, MessageTrigger, MqttTrigger, RedisTrigger,
    ServiceTrigger, StartTrigger, TcpTrigger, TimerTrigger, Triggers, WatchTrigger,
};
pub use workload::{Build, Files, Limits, Ready, Tls, Workload};

#[cfg(test)]
mod tests;
