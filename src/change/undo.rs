//! `undo`: what a run did is taken back, on each node the last action first. Where somebody changed the node since, it is left
//! alone and said.

use futures::{StreamExt as _, stream};

use super::apply::{ChangeRun, courses, parallel, summary, told};
use super::course::Course;
use super::plan::{Plan, Undo};
use super::summary::Summary;
use super::tokens;
use super::verify::Sight;

/// The nodes that something is left to be taken back on, in the plan's order, each with the places of these actions in the order
/// in which they are taken back.
pub fn pending_actions(run: &ChangeRun<'_>, plan: &Plan) -> Vec<(String, Vec<usize>)> {
    let sight = Sight::new(run);
    let courses = courses(run, &sight, plan);
    let left = courses.iter().map(|course| (course.node.to_owned(), course.pending()));
    left.filter(|(_, actions)| !actions.is_empty()).collect()
}

/// Something is left that can be taken back.
pub fn is_offered(run: &ChangeRun<'_>, plan: &Plan) -> bool {
    let sight = Sight::new(run);
    let possible = |course: &Course<'_>, index: usize| !matches!(course.actions[index].undo, Undo::Impossible { .. });
    courses(run, &sight, plan).iter().any(|course| course.pending().into_iter().any(|index| possible(course, index)))
}

/// Takes back what the journal says was done, or may have been.
pub async fn run(run: &ChangeRun<'_>, plan: &Plan) -> Summary {
    let sight = Sight::new(run);
    let mut courses = courses(run, &sight, plan);
    courses.retain(|course| !course.pending().is_empty());
    let courses = courses.as_slice();
    run.tell(crate::ui::Event::RunStarted { hosts: courses.len() });
    let work = stream::iter(courses.iter().enumerate()).map(|(index, course)| async move {
        if run.is_over().is_some() {
            return None;
        }
        // Nodes are many, and what a node needs is large.
        Some((index, Box::pin(told(run, course.node, course.go_back())).await))
    });
    let ended: Vec<_> = work.buffer_unordered(parallel(run, plan)).collect().await;
    let summary = summary(run, courses, ended.into_iter().flatten().collect(), None).await;
    tokens::delete_left(run, &summary).await;
    summary
}
