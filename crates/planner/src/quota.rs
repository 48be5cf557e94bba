//! How many of its instances each workload may have, by the quota of its namespace.

use crate::{
    desired::Quota,
    id::Id,
    reason::{QuotaOf, Reason},
    resources::Resources,
};

/// What a workload asks of its namespace's quota.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// Instances that are wanted.
    pub(crate) wanted: u32,
    /// What one of them asks for.
    pub(crate) requests: Resources,
}

/// Grants what a quota allows, in the order of the claims. What runs has no say in it: a rollout or a move would change
/// what is granted by having more instances for a while, and what is granted would change the rollout.
pub(crate) fn grant(quota: &Quota, claims: &[Claim]) -> Vec<u32> {
    let limit = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    let mut instances = limit(quota.instances);
    let mut left = Resources::new(limit(quota.memory), limit(quota.cpu));
    let give = |claim: &Claim| {
        let few = u32::try_from(instances).unwrap_or(u32::MAX);
        let granted = left.room(claim.requests, claim.wanted.min(few));
        instances -= u64::from(granted);
        left = left.minus(claim.requests.times(granted.into()));
        granted
    };
    claims.iter().map(give).collect()
}

/// Why a claim was granted in part only: what is left of the quota once everything was granted.
pub(crate) fn reason(
    namespace: &Id,
    quota: &Quota,
    claims: &[Claim],
    granted: &[u32],
    at: usize,
) -> Option<Reason> {
    let missing = claims[at].wanted.checked_sub(granted[at]).filter(|missing| *missing > 0)?;
    let all = claims.iter().zip(granted);
    let used = all.fold((0u64, Resources::default()), |(count, used), (claim, granted)| {
        let granted = u64::from(*granted);
        (count.saturating_add(granted), used.plus(claim.requests.times(granted)))
    });
    let requests = claims[at].requests;
    let of = [
        (QuotaOf::Instances, quota.instances, used.0, 1),
        (QuotaOf::Memory, quota.memory, used.1.memory, requests.memory),
        (QuotaOf::Cpu, quota.cpu, used.1.cpu, requests.cpu),
    ];
    let (of, limit) = of.into_iter().find_map(|(of, limit, used, asked)| {
        limit.filter(|limit| used.saturating_add(asked) > *limit).map(|limit| (of, limit))
    })?;
    Some(Reason::Quota { namespace: namespace.clone(), of, limit, missing })
}
