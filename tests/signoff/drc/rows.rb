# Rows of made-up library cells: what the deck says of cells and how they are placed.

CELL = [0.92, 2.72]

# The library: an outline with li1 and a label each. `changed` and `relabelled` differ from it on the faulty sheet.
class Rows
  def initialize(faulty)
    @faulty = faulty
    @layout = RBA::Layout::new
    @top = @layout.create_cell("top")
    @tile = -1
  end

  def next_tile
    @tile += 1
    @y = @tile * 10 * CELL[1]
  end

  def bounds
    [-2, @y - 2, 10, @y + 3 * CELL[1]]
  end

  # Places a cell at a site and row of the tile, `mirrored` at the x axis or not.
  def place(name, site, row = 0, mirrored = row.odd?, shift = 0.0)
    cell = @layout.cell("sky130_fd_sc_hd__#{name}") || Rows.draw(@layout, name, @faulty)
    y = @y + (row + (mirrored ? 1 : 0)) * CELL[1]
    at = RBA::Trans::new(mirrored ? RBA::Trans::M0 : RBA::Trans::R0, ((site * 0.46 + shift) * 1000).round, (y * 1000).round)
    @top.insert(RBA::CellInstArray::new(cell.cell_index, at))
  end

  def loose_diffusion
    @top.shapes(@layout.layer(65, 20)).insert(RBA::Box::new(3000, (@y * 1000).round, 4000, (@y * 1000).round + 1000))
  end

  # Draws a cell as the library has it, or with the fault that its name tells.
  def self.draw(layout, name, faulty)
    cell = layout.create_cell("sky130_fd_sc_hd__#{name}")
    cell.shapes(layout.layer(81, 4)).insert(RBA::DBox::new(0, 0, *CELL))
    right = faulty && name == "changed" ? 0.705 : 0.7
    cell.shapes(layout.layer(67, 20)).insert(RBA::DBox::new(0.2, 1, right, 1.5))
    text = faulty && name == "relabelled" ? "B" : "A"
    cell.shapes(layout.layer(67, 5)).insert(RBA::DText::new(text, RBA::DTrans::new(0.4, 1.2)))
    cell
  end

  def write(path)
    options = RBA::SaveLayoutOptions::new
    options.gds2_write_timestamps = false
    @layout.write(path, options)
  end
end

def row_tile(rule, *also)
  [[@faulty_rows, true], [@fixed_rows, false]].each do |rows, bad|
    rows.next_tile
    yield rows, bad
  end
  @cases << ["rows", rule, *@faulty_rows.bounds, *also].join(" ")
end

def row_tiles
  @faulty_rows, @fixed_rows = Rows::new(true), Rows::new(false)
  # The first cell says where the grid of sites begins.
  row_tile("structure.gap") do |rows, bad|
    rows.place("plain", 0)
    rows.place("plain", bad ? 3 : 2)
  end
  row_tile("structure.overlap") do |rows, bad|
    rows.place("plain", 0)
    rows.place("plain", bad ? 1 : 2)
  end
  row_tile("structure.site") { |rows, bad| rows.place("plain", 1, 0, false, bad ? 0.005 : 0) }
  row_tile("structure.orientation") do |rows, bad|
    rows.place("plain", 0)
    rows.place("plain", 0, 1, !bad)
  end
  row_tile("structure.frontend") { |rows, bad| bad ? rows.loose_diffusion : rows.place("plain", 0) }
  row_tile("structure.forbidden") { |rows, bad| rows.place(bad ? "probe_p_8" : "plain", 0) }
  %w[changed relabelled].each { |name| row_tile("structure.cell") { |rows, _| rows.place(name, 0) } }
  row_tile("structure.cell") { |rows, bad| rows.place(bad ? "unknown" : "plain", 0) }
  @faulty_rows.write(File.join($out, "rows_faulty.gds"))
  @fixed_rows.write(File.join($out, "rows_fixed.gds"))
  write_library
end

def write_library
  require "fileutils"
  FileUtils.mkdir_p(File.join($out, "pdk"))
  layout = RBA::Layout::new
  %w[plain changed relabelled probe_p_8].each { |name| Rows.draw(layout, name, false) }
  layout.write(File.join($out, "pdk", "sky130_fd_sc_hd.gds"))
end
