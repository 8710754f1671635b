# A sheet of tiles, and what is drawn on one.

LAYERS = {
  "nwell" => [64, 20], "diff" => [65, 20], "tap" => [65, 44], "poly" => [66, 20], "licon" => [66, 44], "li1" => [67, 20],
  "mcon" => [67, 44], "met1" => [68, 20], "via" => [68, 44], "met2" => [69, 20], "via2" => [69, 44], "met3" => [70, 20],
  "via3" => [70, 44], "met4" => [71, 20], "via4" => [71, 44], "met5" => [72, 20], "nsdm" => [93, 44], "psdm" => [94, 20],
  "npc" => [95, 20], "hvtp" => [78, 44], "lvtn" => [125, 44], "poly_resistor" => [66, 15], "diode_id" => [81, 23],
  "standard_cell_id" => [81, 4], "nwell pin" => [64, 16], "li1 pin" => [67, 16], "met1 pin" => [68, 16],
  "met2 pin" => [69, 16], "met3 pin" => [70, 16], "met4 pin" => [71, 16], "met5 pin" => [72, 16], "nwell label" => [64, 5],
  "li1 label" => [67, 5], "met1 label" => [68, 5], "met2 label" => [69, 5], "met3 label" => [70, 5], "met4 label" => [71, 5],
  "met5 label" => [72, 5]
}
PITCH = 100.0
COLUMNS = 15
STEP = 0.005

# One of the two files while it is drawn. Lengths are in micrometres, from the tile's origin.
class Sheet
  def initialize(name)
    @name = name
    @layout = RBA::Layout::new
    @cell = @layout.create_cell("top")
    @tile = -1
  end

  def next_tile
    @tile += 1
    @x, @y = (@tile % COLUMNS) * PITCH, (@tile / COLUMNS) * PITCH
  end

  def bounds
    [@x - 20, @y - 20, @x + 60, @y + 60]
  end

  def box(layer, x1, y1, x2, y2)
    polygon(layer, [[x1, y1], [x1, y2], [x2, y2], [x2, y1]])
  end

  def square(layer, x, y, side)
    box(layer, x - side / 2.0, y - side / 2.0, x + side / 2.0, y + side / 2.0)
  end

  def polygon(layer, points)
    points = points.map { |x, y| RBA::Point::new(((@x + x) * 1000).round, ((@y + y) * 1000).round) }
    shapes(layer).insert(RBA::Polygon::new(points))
  end

  def label(layer, x, y)
    shapes("#{layer} label").insert(RBA::Text::new("a", RBA::Trans::new(((@x + x) * 1000).round, ((@y + y) * 1000).round)))
  end

  # A contacted tap of 0.41 x 0.41 with its implant, li1 on it.
  def tap(implant, x, y)
    box("tap", x, y, x + 0.41, y + 0.41)
    box(implant, x - 0.2, y - 0.2, x + 0.61, y + 0.61)
    box("licon", x + 0.12, y + 0.12, x + 0.29, y + 0.29)
    box("li1", x, y, x + 0.41, y + 0.41)
  end

  # An nwell with a tap in its lower left corner.
  def well(x1, y1, x2, y2)
    box("nwell", x1, y1, x2, y2)
    tap("nsdm", x1 + 0.5, y1 + 0.5)
  end

  def write(folder)
    options = RBA::SaveLayoutOptions::new
    options.gds2_write_timestamps = false
    @layout.write(File.join(folder, "#{@name}.gds"), options)
  end

  private

  def shapes(layer)
    @cell.shapes(@layout.layer(*LAYERS.fetch(layer)))
  end
end

# Draws a tile on both sheets; the block gets the sheet and whether this is the faulty one.
def tile(rule, *also)
  [[@faulty, true], [@fixed, false]].each do |sheet, bad|
    sheet.next_tile
    yield sheet, bad
  end
  @cases << ["shapes", rule, *@faulty.bounds, *also].join(" ")
end
