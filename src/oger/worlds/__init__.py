"""Small embedded worlds: problems, programmatic teachers and a base policy that need no download."""

from oger.worlds.world import World, load_world, world_names

__all__ = ["World", "load_world", "world_names"]
