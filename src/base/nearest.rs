//! What was meant by a name that is not there.

/// The candidate that is most like a mistyped name, if one is like it at all.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(name, candidate);
    let near = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    let bound = if name.len() < 4 { 1 } else { 2 };
    near.filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
