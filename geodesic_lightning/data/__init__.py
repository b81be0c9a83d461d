"""What people bring: pictures, keyframes, clips, folders of pairs, as frames with their prompts."""
