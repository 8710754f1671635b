# Writes a report of LVS with its parts in another order, as KLayout may write it in another run, and both brought into order.
#
#   klayout -b -r scramble.rb -rd report=lvs.lvsdb -rd out=FOLDER

# %include ../../tool-wrappers/klayout/lvs/canonical.lvs

lines = File.readlines($report, :chomp => true)
# Layers, connections and kinds of devices stand in blocks of their own before the circuits.
circuits = lines.index { |line| line.start_with?(" X(") }
head = lines[0...circuits].slice_when { |_, line| line.match?(/\A \S/) && line != " )" }.to_a
head = head.group_by { |block| block[0][/\A ?([A-Z]*)\(?/, 1] }
head = head.flat_map { |group, blocks| %w[L C D].include?(group) ? blocks.reverse : blocks }.flatten
# Numbers of nets and devices of all circuits counted from the other end, with everything that names them.
from_the_end = lambda { |number| number == "()" ? number : (100 - number.to_i).to_s }
pairs = lines.index("Z(")
body = lines[circuits..].each_with_index.map do |line, index|
  in_layout = index + circuits < lines.index("H(")
  in_pairs = index + circuits > pairs
  case line
  when /\A  ([NPD])\((\d+)(.*)/ then in_layout ? "  #{$1}(#{from_the_end[$2]}#{$3}" : line
  when /\A   ([TP])\((\S+) (\d+)\)\z/ then in_layout ? "   #{$1}(#{$2} #{from_the_end[$3]})" : line
  when /\A   ([ND])\((\S+) (.*)/ then in_pairs ? "   #{$1}(#{from_the_end[$2]} #{$3}" : line
  else line
  end
end
scrambled = head + body
File.write(File.join($out, "scrambled.lvsdb"), scrambled.join("\n") + "\n")
File.write(File.join($out, "ordered.lvsdb"), Canonical::new(scrambled).lines.join("\n") + "\n")
File.write(File.join($out, "again.lvsdb"), Canonical::new(lines).lines.join("\n") + "\n")
