//! A number in parts by weight, whole ones.

/// How many of `all` each weight has: what remains after dividing goes to the greatest remainders, and among those
/// that are alike to the first. Where all weights are nothing, all are the same.
pub(crate) fn shares(all: u32, weights: &[u32]) -> Vec<u32> {
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let equal = sum == 0;
    let sum = if equal { weights.len() as u64 } else { sum }.max(1);
    let parts = weights.iter().map(|weight| {
        let share = u64::from(all) * if equal { 1 } else { u64::from(*weight) };
        (share / sum, share % sum)
    });
    let parts: Vec<(u64, u64)> = parts.collect();
    let given: u64 = parts.iter().map(|(share, _)| share).sum();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(parts[*at].1));
    let mut shares: Vec<u32> =
        parts.iter().map(|(share, _)| u32::try_from(*share).unwrap_or(u32::MAX)).collect();
    let left = usize::try_from(u64::from(all).saturating_sub(given)).unwrap_or(usize::MAX);
    for at in order.into_iter().take(left) {
        shares[at] += 1;
    }
    shares
}
