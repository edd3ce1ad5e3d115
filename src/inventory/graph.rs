//! Groups inside groups: cycles, depths and lineages. Pure, and without recursion, because a chain of groups may be long.

use std::collections::HashMap;

use crate::inventory::error::InventoryError;
use crate::inventory::model::{ALL, Group, GroupId, Host};
use crate::inventory::value::Place;

/// Refuses groups that contain each other, with the way round spelled out.
pub(in crate::inventory) fn check_cycles(groups: &[Group]) -> Result<(), InventoryError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; groups.len()];
    for start in 0..groups.len() {
        if marks[start] != Mark::New {
            continue;
        }
        // The way down, each with the next child to visit.
        let mut way: Vec<(usize, usize)> = vec![(start, 0)];
        marks[start] = Mark::Open;
        while let Some((group, next)) = way.last_mut() {
            let Some((child, place)) = groups[*group].children.get(*next) else {
                marks[*group] = Mark::Done;
                way.pop();
                continue;
            };
            *next += 1;
            let child = child.0 as usize;
            match marks[child] {
                Mark::Done => {}
                Mark::New => {
                    marks[child] = Mark::Open;
                    way.push((child, 0));
                }
                Mark::Open => {
                    let from = way.iter().position(|(group, _)| *group == child).unwrap_or_default();
                    let mut path: Vec<String> =
                        way[from..].iter().map(|(group, _)| groups[*group].name.to_string()).collect();
                    path.push(groups[child].name.to_string());
                    return Err(InventoryError::Cycle { place: place.clone(), path });
                }
            }
        }
    }
    Ok(())
}

/// Sets each group's depth: the longest way from `all`. There must be no cycle.
pub(in crate::inventory) fn set_depths(groups: &mut [Group]) {
    let mut waiting: Vec<usize> = groups.iter().map(|group| group.parents.len()).collect();
    let mut ready: Vec<usize> = (0..groups.len()).filter(|index| waiting[*index] == 0).collect();
    while let Some(index) = ready.pop() {
        let depth = groups[index].depth + 1;
        for position in 0..groups[index].children.len() {
            let child = groups[index].children[position].0.0 as usize;
            groups[child].depth = groups[child].depth.max(depth);
            waiting[child] -= 1;
            if waiting[child] == 0 {
                ready.push(child);
            }
        }
    }
}

/// Gives each host its lineage: its groups and their ancestors in Ansible's order (depth, then priority, then name), the
/// weakest first. Hosts of the same groups share one.
pub(in crate::inventory) fn lineages(hosts: &mut [Host], groups: &[Group]) -> Vec<Vec<GroupId>> {
    let mut lineages = Vec::new();
    let mut index_of: HashMap<Vec<GroupId>, usize> = HashMap::new();
    for host in hosts {
        host.groups.sort_unstable();
        if let Some(index) = index_of.get(&host.groups) {
            host.lineage = *index;
            continue;
        }
        host.lineage = lineages.len();
        index_of.insert(host.groups.clone(), lineages.len());
        lineages.push(lineage(&host.groups, groups));
    }
    lineages
}

fn lineage(direct: &[GroupId], groups: &[Group]) -> Vec<GroupId> {
    let mut found: Vec<GroupId> = vec![ALL];
    let mut seen: std::collections::HashSet<GroupId> = [ALL].into();
    let mut ahead: Vec<GroupId> = direct.to_vec();
    while let Some(group) = ahead.pop() {
        if seen.insert(group) {
            found.push(group);
            ahead.extend(&groups[group.0 as usize].parents);
        }
    }
    found.sort_by_cached_key(|group| {
        let group = &groups[group.0 as usize];
        (group.depth, group.priority, group.name.clone())
    });
    found
}

/// The groups inside `group`, itself included, each once.
pub(in crate::inventory) fn descendants(group: GroupId, groups: &[Group]) -> Vec<GroupId> {
    let mut seen = vec![false; groups.len()];
    let mut found = Vec::new();
    let mut ahead = vec![group];
    while let Some(group) = ahead.pop() {
        if !std::mem::replace(&mut seen[group.0 as usize], true) {
            found.push(group);
            ahead.extend(groups[group.0 as usize].children.iter().map(|(child, _)| *child));
        }
    }
    found
}

/// A place for edges that nobody wrote.
pub(in crate::inventory) fn nowhere() -> Place {
    Place { source: "".into(), at: None }
}
