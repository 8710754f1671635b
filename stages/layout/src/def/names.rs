//! Names for what a stage adds to a design.

use std::collections::BTreeSet;

use super::Design;

/// The names of all instances and nets. They share one space: an instance and a net of one name would be one object in Verilog
/// (IEEE 1364-2005, section 4.11).
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    pub fn of(design: &Design) -> Names {
        let components = design.components.iter().map(|component| &component.name);
        let nets = design.nets.iter().map(|net| &net.name);
        Names(components.chain(nets).cloned().collect())
    }

    /// `base`, or `base_1`, `base_2`, … if there is such an object already. The name is taken from now on.
    pub fn free(&mut self, base: &str) -> String {
        let mut name = base.to_string();
        let mut count = 0;
        while !self.0.insert(name.clone()) {
            count += 1;
            name = format!("{base}_{count}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Component, Net};
    use super::*;

    #[test]
    fn instances_and_nets_share_their_names() {
        let component = |name: &str| Component {
            name: name.into(),
            cell: "inv".into(),
            placement: None,
            source: None,
            properties: Vec::new(),
        };
        let design = Design {
            components: vec![component("a"), component("b_1")],
            nets: vec![Net {
                name: "b".into(),
                ..Net::default()
            }],
            ..Design::default()
        };
        let mut names = Names::of(&design);
        assert_eq!(names.free("a"), "a_1");
        assert_eq!(names.free("b"), "b_2");
        assert_eq!(names.free("c"), "c");
        assert_eq!(names.free("c"), "c_1");
    }
}
